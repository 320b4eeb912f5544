"""Writers record, handlers describe what is stored, streamers replay."""

from mosaicolabs._protocol.system_info import RemoteRows, SystemInfo
from mosaicolabs.handlers.batches import Batches
from mosaicolabs.handlers.query_reader import QueryDataStreamer
from mosaicolabs.handlers.sequence_handler import SequenceHandler
from mosaicolabs.handlers.sequence_link import SequenceLink
from mosaicolabs.handlers.sequence_reader import SequenceDataStreamer
from mosaicolabs.handlers.sequence_writer import SequenceWriter
from mosaicolabs.handlers.topic_handler import TopicHandler
from mosaicolabs.handlers.topic_reader import TopicDataStreamer
from mosaicolabs.handlers.topic_writer import Appender, TopicWriter
from mosaicolabs.helpers.damage import DamagedRows, DamagedRowsWarning

__all__ = [
    "Appender",
    "Batches",
    "DamagedRows",
    "DamagedRowsWarning",
    "QueryDataStreamer",
    "RemoteRows",
    "SequenceDataStreamer",
    "SequenceHandler",
    "SequenceLink",
    "SequenceWriter",
    "SystemInfo",
    "TopicDataStreamer",
    "TopicHandler",
    "TopicWriter",
]
