"""Facts of the catalog about sequences and topics."""

from mosaicolabs.models.platform.sequence import Sequence
from mosaicolabs.models.platform.topic import Topic

__all__ = ["Sequence", "Topic"]
