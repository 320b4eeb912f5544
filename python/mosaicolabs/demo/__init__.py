"""A generated, physically plausible flight that is recorded, replayed and compared."""

from ._flight import Flight
from ._record_replay import DemoError, ReplayResult, record, replay

__all__ = ["DemoError", "Flight", "ReplayResult", "record", "replay"]
