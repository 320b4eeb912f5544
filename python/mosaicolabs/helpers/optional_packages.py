"""Packages that only some functions need."""

from importlib import import_module
from types import ModuleType

__all__ = ["import_optional"]


def import_optional(module: str, needed_by: str, package: str | None = None) -> ModuleType:
    """Imports a module of a package that is not installed with this one.

    Args:
        module: The module.
        needed_by: What needs it, the subject of the error's text.
        package: Name of the package on the index. None: that of the module.

    Raises:
        ModuleNotFoundError: It is not installed; the text contains the command that installs it.

    Example:
        >>> import_optional("json", "to_json()").__name__
        'json'
        >>> try:
        ...     import_optional("no_such_module", "to_nothing()", "no-such-package")
        ... except ModuleNotFoundError as error:
        ...     print(error)
        to_nothing() needs no-such-package; install it with: pip install no-such-package
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is installed, and lacks something itself
        package = package or module
        raise ModuleNotFoundError(
            f"{needed_by} needs {package}; install it with: pip install {package}", name=module
        ) from error
