"""A generated, physically plausible flight, recorded and replayed: the main job in one go."""

from ._flight import Flight
from ._record_replay import DemoError, ReplayResult, record, replay

__all__ = ["DemoError", "Flight", "ReplayResult", "record", "replay"]
