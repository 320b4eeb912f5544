"""`python -m mosaicolabs.cli` is the command `mosaico`."""

from . import main

main()
