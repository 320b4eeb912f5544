"""What streamers share: reading as columns, closing, and the native stream of those that handlers open."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn

import pyarrow as pa

from mosaicolabs import _native
from mosaicolabs._closing import Closing
from mosaicolabs._streams.watched import Source
from mosaicolabs.exceptions import ClosedError
from mosaicolabs.handlers.batches import Batches, BatchRequest, Column, Where
from mosaicolabs.helpers.damage import DamagedRows, warn_skipped


class BaseStreamer(Closing):
    """A replay that can be read message by message or, instead, as columns."""

    _batches: Batches | None = None
    _skipped: list[DamagedRows] | None = None

    @property
    def skipped(self) -> list[DamagedRows]:
        """Rows of damaged chunks that were left out so far, with `skip_damaged`; complete at the end."""
        if self._batches is not None:
            return self._batches.skipped
        return self._skipped or []

    @abstractmethod
    def batches(self, columns: Iterable[Column] | None = None, where: Where | None = None) -> Batches:
        """The rest of the replay as columns; the streamer yields no messages afterwards."""

    @abstractmethod
    def close(self) -> None:
        """Closes the streams and the batches opened by the streamer; safe to call repeatedly."""

    def to_arrow(self, columns: Iterable[Column] | None = None, where: Where | None = None) -> pa.Table:
        """All of `batches` as a table."""
        return self.batches(columns, where).to_arrow()

    def to_pandas(
        self,
        columns: Iterable[Column] | None = None,
        where: Where | None = None,
        *,
        time_index: bool = False,
    ) -> Any:
        """All of `batches` as a pandas frame, see `Batches.to_pandas`."""
        return self.batches(columns, where).to_pandas(time_index=time_index)

    def to_polars(self, columns: Iterable[Column] | None = None, where: Where | None = None) -> Any:
        """All of `batches` as a polars frame."""
        return self.batches(columns, where).to_polars()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        # Some libraries export twice: once for the schema, then for the rows.
        batches = self._batches or self.batches()
        return batches.__arrow_c_stream__(requested_schema)

    def _close_batches(self) -> None:
        if self._batches is not None:
            self._batches.close()
            self._skipped = self._batches.skipped
            self._batches = None

    def _refuse_after_messages(self) -> NoReturn:
        raise RuntimeError("the streamer was read message by message already; get another one for batches")


class HandlerStreamer(BaseStreamer, _native.MessageIterator):
    """A streamer opened by a handler: one native stream, of one topic or of several merged by time.

    The base class iterates in native code: a Python frame per message would cost a fifth of a replay.

    Args:
        subject: What is replayed, such as ``topic '/imu'``; for error messages.
        stream: The open stream.
        request: Reads the same as columns.
    """

    _NAMED: ClassVar[bool]
    """Whether items are `(topic, message)`."""

    def __init__(self, *, subject: str, stream: Source, request: BatchRequest) -> None:
        self._subject = subject
        self._stream: Source | None = stream
        self._batch_request = request
        self._read = False

    def next_timestamp(self) -> int | None:
        """Time of the next message without consuming it, ns since the Unix epoch; None at the end."""
        return self._open().next_timestamp()

    def _open_batches(self, columns: Iterable[Column] | None, where: Where | None) -> Batches:
        """The replay as columns instead of messages; closes the stream of messages."""
        self._require_unread()
        self._batches = self._batch_request.batches(columns, where)
        self._close_stream()
        return self._batches

    @property
    def skipped(self) -> list[DamagedRows]:
        """Rows of damaged chunks that were left out so far, with `skip_damaged`; complete at the end."""
        if self._stream is not None:
            return DamagedRows.of_native(self._stream.skipped())
        return super().skipped

    def _end(self) -> None:
        """After the last message: a warning names the rows that were left out, once."""
        if self._skipped is None:
            self._skipped = self.skipped
            warn_skipped(self._skipped)

    def close(self) -> None:
        """Closes the stream or the batches; safe to call repeatedly."""
        if self._stream is not None:
            self._skipped = self.skipped
        self._close_stream()
        self._close_batches()

    def _close_stream(self) -> None:
        self._read_from(None)
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _require_open(self) -> Source:
        if self._stream is None:
            raise ClosedError(f"Reader closed for {self._subject}; get another streamer")
        return self._stream

    def _require_unread(self) -> Source:
        stream = self._require_open()
        if self._read:
            self._refuse_after_messages()
        return stream

    def _open(self) -> Source:
        """The stream to read messages from, which rules out reading columns later."""
        stream = self._require_open()
        self._read = True
        self._read_from(stream, self._NAMED)
        return stream

    @property
    def _state(self) -> str:
        return "closed" if self._stream is None else "open"
