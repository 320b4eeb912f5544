"""Which distribution this package is of: another one on the public index has a package of the same name."""

import re
import warnings
from pathlib import Path

NAME = "mosaicolabs-native"
OTHER = "mosaicolabs"

_OTHER_FOLDER = re.compile(rf"{OTHER}-([^-]+)\.(?:dist|egg)-info", re.IGNORECASE)


def warn_of_mixed_distributions(folder: Path | None = None) -> None:
    """Warns if Mosaico's distribution is installed in the folder of this package.

    Both install files below `mosaicolabs/`, and each replaces some of the other's.

    Args:
        folder: Folder of installed packages. None: that of this package.
    """
    names = (folder or Path(__file__).parents[1]).iterdir()
    for found in filter(None, (_OTHER_FOLDER.fullmatch(path.name) for path in names)):
        warnings.warn(
            f"{OTHER} {found[1]} (Mosaico's SDK) is installed in the same folder as {NAME}; both have a "
            f"package `mosaicolabs`, whose files are mixed now. Run `pip uninstall {OTHER} {NAME}`, then "
            f"install {NAME} again; if another package requires {OTHER}, give each an environment of its own",
            RuntimeWarning,
            stacklevel=3,
        )
