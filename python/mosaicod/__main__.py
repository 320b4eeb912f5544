"""`python -m mosaicod`."""

from mosaicod import main

if __name__ == "__main__":
    main()
