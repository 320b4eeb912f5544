"""The console script `mosaicod`: the daemon that the wheel carries."""

import sys

from mosaicolabs import _native


def main() -> None:
    """Runs `mosaicod` with the command line's arguments and exits with its code."""
    sys.exit(_native.run_daemon(["mosaicod", *sys.argv[1:]]))
