"""The console script `mosaicod`: the daemon of the wheel.

It loads only the native module. Importing `mosaicolabs` would also load pydantic, pyarrow and numpy: half a
second and some 80 MB that a daemon does not need.
"""

import signal
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec

_NATIVE = "mosaicolabs._native"


def _native_spec() -> ModuleSpec:
    package = find_spec(_NATIVE.partition(".")[0])
    locations = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec(_NATIVE, locations)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_NATIVE} is not installed; reinstall the wheel of mosaicolabs-native")
    return spec


def main() -> None:
    """Runs `mosaicod` with the command line's arguments and exits with its code."""
    spec = _native_spec()
    native = module_from_spec(spec)
    if spec.loader is not None:
        spec.loader.exec_module(native)
    # The daemon handles Ctrl-C itself; Python's handler would react a second time.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(native.run_daemon(["mosaicod", *sys.argv[1:]]))
