"""The command `mosaico`: ingest, look, replay, delete - on a folder or on a running `mosaicod`."""

from ._main import main

__all__ = ["main"]
