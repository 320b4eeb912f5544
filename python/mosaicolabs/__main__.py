"""`python -m mosaicolabs`: the command `mosaico`."""

from mosaicolabs.cli import main

if __name__ == "__main__":
    main()
