"""The command `mosaico`: ingest, inspect, query, replay and delete, in a folder or on a daemon."""

from ._main import main

__all__ = ["main"]
