"""Messages: the envelope, its building blocks, and the data classes of the package.

Importing a module of `models.data` or `models.sensors` registers its classes by their tags.
"""

from mosaicolabs._lazy_names import lazy_names
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

__getattr__ = lazy_names(__name__, {}, ["data", "futures", "platform", "query", "ros", "sensors"])
