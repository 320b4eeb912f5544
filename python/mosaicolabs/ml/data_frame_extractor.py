"""Sequences as frames, window by window."""

import logging
import math
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from mosaicolabs._streams.open import READ_AHEAD_BYTES
from mosaicolabs.handlers import SequenceHandler
from mosaicolabs.handlers._selection import Topics, window_of
from mosaicolabs.helpers.times import TimeLike
from mosaicolabs.ml._pandas import import_pandas, wide_frame
from mosaicolabs.ml._topic_rows import LAST_NS, TopicRows
from mosaicolabs.ml._wide_table import Merged, wide_table
from mosaicolabs.ml._windows import windows

if TYPE_CHECKING:
    import pandas

__all__ = ["DataFrameExtractor"]

logger = logging.getLogger(__name__)


class DataFrameExtractor:
    """Reads a sequence as a series of wide frames, one per time window.

    A frame has one row per message, in time order; messages of equal time keep the order of the topics. Its
    columns are `timestamp_ns` and, for each topic in turn, `{topic}.{tag}.recording_timestamp_ns` and
    `{topic}.{tag}.{path}` for every field down to the last level: `/imu.imu.acceleration.x`. They are the
    same in every frame, and missing in the rows of other topics.

    Memory is bounded by one window plus the read-ahead. The live streamer of the handler is not affected.

    Args:
        sequence_handler: A handler from `client.sequence_handler`; messages recorded later are not included.

    Example:
        >>> from mosaicolabs import Floating64, Message, MosaicoClient
        >>> from mosaicolabs.ml import DataFrameExtractor
        >>> client = MosaicoClient.embedded(store)
        >>> with client.sequence_create("drive") as drive:
        ...     speed = drive.topic_create("speed", {}, Floating64)
        ...     for second in range(4):
        ...         speed.push(Message(timestamp_ns=second * 10**9, data=Floating64(data=second / 2)))
        >>> extractor = DataFrameExtractor(client.sequence_handler("drive"))
        >>> for frame in extractor.to_pandas_chunks(window_sec=2):
        ...     print(frame[["timestamp_ns", "/speed.floating64.data"]])
           timestamp_ns  /speed.floating64.data
        0             0                     0.0
        1    1000000000                     0.5
           timestamp_ns  /speed.floating64.data
        0    2000000000                     1.0
        1    3000000000                     1.5
        >>> client.close()
    """

    def __init__(self, sequence_handler: SequenceHandler) -> None:
        if sequence_handler is None:
            raise TypeError("the sequence handler is None; does the sequence exist?")
        self._sequence = sequence_handler

    def to_pandas_chunks(
        self,
        topics: Topics = None,
        window_sec: float = 5.0,
        timestamp_ns_start: TimeLike | None = None,
        timestamp_ns_end: TimeLike | None = None,
    ) -> Generator["pandas.DataFrame", None, None]:
        """Frames of pandas, one per window `[start + k * window_sec, start + (k + 1) * window_sec)`.

        A window without messages gives a frame without rows, as long as later windows have messages; a gap of
        more than 1000 windows gives no frames, and a warning in the log. A window
        that covers the whole selection gives one frame, and a warning in the log.

        Missing numbers are NaN. 64-bit integers and booleans have pandas' nullable types, since floats would
        lose digits. Lists are arrays, bytes are bytes.

        Args:
            topics: Name or pattern of the topics to read, or several. None or empty: all.
            window_sec: Length of a window, s; `math.inf` for everything in one frame.
            timestamp_ns_start: First time of the selection (`TimeLike`); the start of the first window,
                unless the sequence starts later. None: from the start.
            timestamp_ns_end: First time past the selection. None: to the end, including the last message.

        Raises:
            ValueError: The window is shorter than 1 ns, the sequence has no data, or a topic does not exist.
            RuntimeError: None of the selected topics has data.
            ModuleNotFoundError: pandas is not installed.
            ConnectionError: A stream cannot be opened, or the connection broke.
        """
        import_pandas()
        with closing(self._windows(topics, window_sec, timestamp_ns_start, timestamp_ns_end)) as merged:
            yield from map(wide_frame, merged)

    def to_arrow_chunks(
        self,
        topics: Topics = None,
        window_sec: float = 5.0,
        timestamp_ns_start: TimeLike | None = None,
        timestamp_ns_end: TimeLike | None = None,
    ) -> Generator[pa.Table, None, None]:
        """The windows of `to_pandas_chunks` as Arrow tables: missing values are null, types are as stored."""
        with closing(self._windows(topics, window_sec, timestamp_ns_start, timestamp_ns_end)) as merged:
            yield from map(wide_table, merged)

    def _windows(
        self,
        topics: Topics,
        window_sec: float,
        timestamp_ns_start: TimeLike | None,
        timestamp_ns_end: TimeLike | None,
    ) -> Generator[Merged, None, None]:
        step_ns = _step_ns(window_sec)
        names = self._sequence._topics_with_data(topics, follow=False)
        first = cast(int, self._sequence.timestamp_ns_min)  # not None, since topics have data
        last = cast(int, self._sequence.timestamp_ns_max)
        given = window_of(timestamp_ns_start, timestamp_ns_end, (first, last))
        start = first if given[0] is None else max(first, given[0])
        end = last + 1 if given[1] is None else min(last + 1, given[1])
        if start >= end:
            return
        if step_ns >= min(end, last) - start:
            logger.warning("a window of %g s covers the whole selection: it gives one frame", window_sec)
            step_ns = end - start
        with ExitStack() as streams:
            share = READ_AHEAD_BYTES // len(names)
            rows = [self._open(name, (start, end), share, streams) for name in names]
            yield from windows(rows, start, end, step_ns)

    def _open(
        self, name: str, window: tuple[int, int], read_ahead_bytes: int, streams: ExitStack
    ) -> TopicRows:
        start_ns, end_ns = window
        topic = self._sequence.get_topic_handler(name)
        request = topic._batch_request((start_ns, end_ns if end_ns <= LAST_NS else None))
        batches = replace(request, read_ahead_bytes=read_ahead_bytes).batches(None, None)
        streams.callback(batches.close)
        return TopicRows(f"{name}.{topic.ontology_tag}", batches.schema, iter(batches))


def _step_ns(window_sec: float) -> int:
    step_ns = window_sec * 1e9
    if not step_ns >= 1:
        raise ValueError(f"window_sec is {window_sec}; give the length of a window in seconds, at least 1e-9")
    return LAST_NS * 2 if math.isinf(step_ns) else int(step_ns)
