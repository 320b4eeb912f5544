"""Names of a package that are imported at their first use, as the `__getattr__` of its `__init__`.

pydantic, pyarrow and numpy take longer to import than most commands run.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str], modules: Iterable[str] = ()) -> Callable[[str], Any]:
    """A function that finds names of a package.

    Args:
        package: Name of the package.
        homes: Module below the package, by name.
        modules: Modules of the package that are attributes too.

    Example:
        >>> find = lazy_names("mosaicolabs", {"Event": "comm.events"}, ["comm"])
        >>> find("Event").__name__, find("comm").__name__
        ('Event', 'mosaicolabs.comm')
    """
    modules = frozenset(modules)

    def find(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        if name in modules:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
