"""Messages: the envelope, its building blocks, and the data classes of the package.

Importing a module of `models.data` or `models.sensors` registers its classes by their tags.
"""

from importlib import import_module
from types import ModuleType

from mosaicolabs.models.base_model import BaseModel
from mosaicolabs.models.generic import GenericData, GenericStruct, generic_class
from mosaicolabs.models.header import Header, Time
from mosaicolabs.models.message import Message
from mosaicolabs.models.mixins import CovarianceMixin, HeaderMixin, VarianceMixin
from mosaicolabs.models.serializable import Serializable

__all__ = [
    "BaseModel",
    "CovarianceMixin",
    "GenericData",
    "GenericStruct",
    "Header",
    "HeaderMixin",
    "Message",
    "Serializable",
    "Time",
    "VarianceMixin",
    "generic_class",
]

_MODULES = frozenset({"data", "futures", "platform", "query", "ros", "sensors"})


def __getattr__(name: str) -> ModuleType:
    # Classes of sensors, among others, are imported at their first use.
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
