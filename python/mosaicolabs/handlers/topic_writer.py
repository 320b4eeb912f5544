"""The writer of one topic."""

import functools
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias

from mosaicolabs import _native
from mosaicolabs._streams.arrow_input import record_batch, table
from mosaicolabs.enum import OnErrorPolicy
from mosaicolabs.exceptions import ClosedError, InvalidInputError
from mosaicolabs.handlers._background import Background
from mosaicolabs.handlers._callable_bool import CallableBool
from mosaicolabs.handlers.config import WriterConfig
from mosaicolabs.helpers.times import TimeLike, to_ns
from mosaicolabs.models._conversions import UnstorableError, storing
from mosaicolabs.models.header import Header
from mosaicolabs.models.message import Message, has_header_field
from mosaicolabs.models.serializable import Serializable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Appender", "TopicWriter"]

logger = logging.getLogger(__name__)

P = ParamSpec("P")


class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...


class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


ArrowColumns: TypeAlias = _ArrowArray | _ArrowStream
"""Columns of any library that implements Arrow's PyCapsule interface."""


class Appender(Protocol):
    """Appends rows of plain values; created by `TopicWriter.appender`."""

    @property
    def columns(self) -> list[str]:
        """The columns, in the order of the values."""

    def __call__(self, timestamp_ns: int, /, *values: Any) -> None:
        """Appends a row: its time, ns since the Unix epoch, and one value for each column."""


class TopicWriter:
    """Records one topic; created by `SequenceWriter.topic_create`.

    Each topic has its own buffer and its own stream to the daemon: messages are cut into batches (by bytes,
    messages or age) and sent in the background, so that a slow topic never stalls another. If the connection
    breaks or the daemon restarts, the writer reconnects for up to `WriterConfig.reconnect_timeout_s` and
    resumes after the last durable message. Push to one topic from one thread at a time; different topics may
    be pushed from different threads.
    """

    def __init__(
        self,
        *,
        topic_name: str,
        sequence_name: str,
        data_class: type[Serializable],
        lane: _native.Lane,
        config: WriterConfig,
    ) -> None:
        self._name = topic_name
        self._sequence_name = sequence_name
        self._data_class = data_class
        store = storing(data_class, data_class.__msco_pyarrow_struct__)
        self._lane = lane
        # Appends a message; returns whether there are notices to log.
        self._append: Callable[[Any], bool] = lane.push
        self._is_converted = store is not None
        if store is not None:
            self._append = functools.partial(self._append_converted, store)
        self._config = config
        self._background: Background | None = None
        self._closed = False
        self._error: Exception | None = None

    @property
    def name(self) -> str:
        """The name as given to `topic_create`."""
        return self._name

    def push(
        self,
        message: Message | Serializable | None = None,
        message_timestamp_ns: TimeLike | None = None,
        message_header: Header | None = None,
        ontology_obj: Serializable | None = None,
    ) -> None:
        """Appends one message; returns once it is buffered (`flush()` waits until it is durable).

        Backpressure: blocks, with the GIL released, while the topic's share of the recording's buffer is used
        up.

        Args:
            message: A complete message, or a data object with the time in its header. Or, instead:
            message_timestamp_ns: Acquisition time, ns since the Unix epoch, or as in `Message`; in any order.
            message_header: Header of the data object, if it has none.
            ontology_obj: The data object.

        Raises:
            ValueError: Neither form is complete.
            InvalidInputError: The message cannot be encoded; the error names the field. The message is rolled
                back completely, other messages are kept, and the topic stays open.
            ClosedError: The topic is closed.
            MosaicoError: Sending failed for good; the error names the rows that may not be stored.

        Example:
            >>> from mosaicolabs.models.data import Floating64
            >>> with MosaicoClient.embedded(store) as client, client.sequence_create("run") as writer:
            ...     speed = writer.topic_create("speed", {}, Floating64)
            ...     speed.push(ontology_obj=Floating64(data=3.5), message_timestamp_ns=5_000_000)
        """
        if message is None:
            return self._push_data(message_timestamp_ns, message_header, ontology_obj)
        if self._background is not None:
            self._background.wait()
        try:
            if self._append(message):
                self._log_notices()
        except Exception as error:
            if isinstance(message, Serializable):  # only checked here, since the usual case has to be fast
                return self.push(Message(data=message))
            self._error = error
            raise
        return None

    def _push_data(
        self, timestamp_ns: TimeLike | None, header: Header | None, data: Serializable | None
    ) -> None:
        """Appends `Message(timestamp_ns, data)` without creating it, where that makes no difference."""
        if (
            header is not None
            or timestamp_ns.__class__ is not int
            or not isinstance(data, Serializable)
            or self._is_converted
        ):
            return self.push(_message(timestamp_ns, header, data))
        if self._background is not None:
            self._background.wait()
        try:
            notices = self._lane.push_data(timestamp_ns, data, has_header_field(type(data)))
        except Exception as error:
            self._error = error
            raise
        if notices:
            self._log_notices()
        return None

    def appender(self, *columns: str) -> Appender:
        """A function that appends rows of plain values, the fastest way to record values one by one.

        Call it with the time of a row and one value for each of `columns`. It creates no object per row and
        checks the stored types only: validators of the class do not run. Columns that are not named are null.
        The class's header gets the time of the row as its stamp, unless a column of it is named. A struct is
        null in a row where all its values are None.

        A row is buffered, as with `push`; `flush()` waits until it is durable. Backpressure: blocks, with the
        GIL released, while the topic's share of the recording's buffer is used up. Call the appenders and
        `push` of one topic from one thread at a time.

        Args:
            columns: Dotted paths as they are stored, such as `"acceleration.x"`, and
                `"recording_timestamp_ns"`.

        Returns:
            `append(timestamp_ns, *values)`. It raises `InvalidInputError` if a value does not fit its column:
            the row is rolled back completely, other rows are kept, and the topic stays open. It raises
            `ClosedError` and other errors as `push` does.

        Raises:
            InvalidInputError: A column does not exist, is given twice, or is part of another one; or one that
                requires values is missing.

        Example:
            >>> from mosaicolabs import IMU
            >>> with MosaicoClient.embedded(store) as client, client.sequence_create("run") as writer:
            ...     imu = writer.topic_create("imu", {}, IMU)
            ...     append = imu.appender("acceleration.x", "acceleration.y", "acceleration.z")
            ...     for row in range(3):
            ...         append(row * 5_000_000, 0.1 * row, 0.0, 9.81)
        """
        has_header = has_header_field(self._data_class)
        return _native.Appender(self._lane, columns, has_header, self._log_notices, self._keep_error)

    def _keep_error(self, error: Exception) -> None:
        self._error = error

    def submit(
        self,
        message_timestamp_ns: TimeLike,
        make: Callable[P, Serializable],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Appends one message whose data object `make(*args, **kwargs)` creates in a background thread.

        For data that is costly to create, such as pictures to encode: the topic uses as many threads as there
        are cores, and messages are appended in the order of submission as soon as they are ready. The
        arguments must not change until then. At most two messages per core are pending; beyond that `submit`
        blocks, as it does while the topic's share of the recording's buffer is used up.

        Args:
            message_timestamp_ns: Acquisition time, ns since the Unix epoch, or as in `Message`; in any order.
            make: Called in another thread; runs in parallel as far as it releases the GIL, as Pillow, zlib
                and numpy do.
            args: Positional arguments of `make`.
            kwargs: Keyword arguments of `make`.

        Raises:
            ClosedError: The topic is closed.
            MosaicoError: Messages submitted before could not be created or appended; the error gives their
                times. This message was not accepted; the topic stays open. Later failures are raised by the
                next call of `submit` or `flush`, or by closing the topic.

        Example:
            >>> import numpy as np
            >>> from mosaicolabs import Image, ImageFormat
            >>> frame = np.zeros((480, 752), np.uint8)
            >>> with MosaicoClient.embedded(store) as client, client.sequence_create("run") as writer:
            ...     camera = writer.topic_create("camera", {}, Image)
            ...     camera.submit(5_000_000, Image.from_numpy, frame, "mono8", format=ImageFormat.PNG)
        """
        if self._closed:
            raise ClosedError(f"topic `{self._name}` is closed; submit inside its `with` block")
        if self._background is None:
            self._background = Background(self._name, self._append)
        try:
            self._background.submit(to_ns(message_timestamp_ns), functools.partial(make, *args, **kwargs))
        except Exception as error:
            self._error = error
            raise

    def push_batch(self, columns: ArrowColumns) -> None:
        """Appends all rows of Arrow columns; returns once they are buffered (`flush()` waits until durable).

        Columns are matched by name with those of the topic, in any order: `timestamp_ns` (int64, or
        timestamps of any unit), `recording_timestamp_ns`, and the fields of the class with their stored
        types. The results of `to_arrow`, `to_pandas` and `to_polars` of a topic match. A missing column is
        null; another type is cast if no value changes. Fields of structs may be separate columns,
        `acceleration.x`; such a struct is null in a row where all its fields are. Only the stored types are
        checked: validators of the class do not run, and no header is filled in.

        All rows are checked before the first is appended, so a stream is read to its end first; push the
        batches of a long stream one by one. The rows are copied: the caller's memory is free afterwards.
        Backpressure: blocks, with the GIL released, while the topic's share of the recording's buffer is used
        up. Batches of thousands of rows are the fastest.

        Args:
            columns: Anything with `__arrow_c_array__` or `__arrow_c_stream__`: a record batch or table of
                pyarrow, a frame of pandas or polars, a relation of duckdb, `Batches` of another topic.

        Raises:
            TypeError: `columns` has no Arrow columns.
            InvalidInputError: A column is unknown, missing, of an incompatible type, or null where a value
                is required. The error names column and row. Nothing was appended; the topic stays open.
            ClosedError: The topic is closed.
            MosaicoError: Sending failed for good; the error names the rows that may not be stored.

        Example:
            >>> import pyarrow as pa
            >>> from mosaicolabs.models.data import Floating64
            >>> table = pa.table({"timestamp_ns": [0, 5_000_000], "data": [3.5, 3.6]})
            >>> with MosaicoClient.embedded(store) as client, client.sequence_create("run") as writer:
            ...     speed = writer.topic_create("speed", {}, Floating64)
            ...     speed.push_batch(table)
        """
        if not hasattr(columns, "__arrow_c_array__") and not hasattr(columns, "__arrow_c_stream__"):
            raise TypeError(
                f"push_batch() takes Arrow columns, such as a pyarrow table, not {type(columns).__name__}; "
                "push_columns() takes arrays"
            )
        if self._background is not None:
            self._background.wait()
        try:
            if self._lane.push_batch(table(columns)):
                self._log_notices()
        except Exception as error:
            self._error = error
            raise

    def push_columns(self, columns: "Mapping[str, ArrayLike] | None" = None, /, **more: "ArrayLike") -> None:
        """Appends rows given as numpy arrays, one array per column; otherwise as `push_batch`.

        Args:
            columns: Arrays of shape (rows,) by column name, which may be dotted: `{"acceleration.x": x}`.
                Arrays of shape (rows, n) are lists of n. Masked values are null; NaN is not null. Times may
                be `datetime64`. Lists, and arrays of other libraries, are accepted too.
            **more: Columns by keyword.

        Raises:
            InvalidInputError: As for `push_batch`; also if a column is given twice or the lengths differ.
            ClosedError: The topic is closed.
            MosaicoError: Sending failed for good; the error names the rows that may not be stored.

        Example:
            >>> import numpy as np
            >>> from mosaicolabs import IMU
            >>> times = np.arange(1000) * 5_000_000
            >>> x = np.sin(times / 1e9)
            >>> still = np.zeros(1000)
            >>> gravity = np.full(1000, 9.81)
            >>> acceleration = {"acceleration.x": x, "acceleration.y": still, "acceleration.z": gravity}
            >>> with MosaicoClient.embedded(store) as client, client.sequence_create("run") as writer:
            ...     imu = writer.topic_create("imu", {}, IMU)
            ...     imu.push_columns(acceleration, timestamp_ns=times)
        """
        columns = columns or {}
        if twice := sorted(columns.keys() & more.keys()):
            raise InvalidInputError(f"column `{twice[0]}` is given twice, by name and by keyword")
        self.push_batch(record_batch({**columns, **more}))

    def flush(self) -> None:
        """Sends what is buffered and waits until every pushed message is durable.

        Durable messages survive a crash of the daemon. A Mosaico 0.2 server does not acknowledge messages;
        there, this returns once they are passed to the network.

        Raises:
            MosaicoError: Sending failed for good; the error names the rows that may not be stored.
        """
        if self._background is not None:
            self._background.wait()
        self._guarded(self._lane.flush)

    def finalize(self, with_error: bool = False) -> None:
        """Stores what is buffered, completes the topic and locks it; further calls do nothing.

        Args:
            with_error: Abort instead: messages that are not durable yet may be dropped, and the topic stays
                unlocked.

        Raises:
            MosaicoError: Not all rows could be stored; the error names them.
        """
        if self._closed:
            return
        if self._background is not None:
            self._background.end(wait=not with_error)
        self._closed = True
        if with_error:
            self._lane.abort()
        else:
            self._guarded(self._lane.close)

    def finalized(self) -> bool:
        """Whether the topic is closed."""
        return self._closed

    @property
    def is_active(self) -> CallableBool:
        """Whether the topic accepts messages; may also be called as a method."""
        return CallableBool(not self._closed)

    def _end(self) -> None:
        """Starts completing the topic without waiting; `finalize` waits."""
        if not self._closed:
            if self._background is not None:
                self._background.end()
            self._lane.end()

    def _finalize(self, error: BaseException | None = None) -> None:
        self.finalize(with_error=error is not None and self._config.on_error is OnErrorPolicy.Delete)

    def _append_converted(self, store: Callable[[Any], Any], message: Message) -> bool:
        """Appends a message of a class with values that the encoder does not take."""
        if not isinstance(message.data, self._data_class):
            raise InvalidInputError(
                f"topic `{self._name}` holds {self._data_class.__name__}, not {type(message.data).__name__}; "
                "create a topic of its own for it"
            )
        try:
            stored = {**message.__dict__, "data": store(message.data)}
        except UnstorableError as error:
            raise InvalidInputError(f"topic `{self._name}`: {error}") from error.__cause__
        return self._lane.push(stored)

    def _guarded(self, call: Callable[[], None]) -> None:
        """Calls the lane; failures in the background take precedence over its error."""
        try:
            try:
                call()
            finally:
                if self._background is not None:
                    self._background.raise_failures()
        except Exception as error:
            self._error = error
            raise
        finally:
            self._log_notices()

    def _log_notices(self) -> None:
        for notice in self._lane.take_notices():
            logger.warning("Topic '%s/%s': %s", self._sequence_name, self._name, notice)

    def __enter__(self) -> "TopicWriter":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Completes the topic; with `Delete`, an exception of the block aborts it instead."""
        self._finalize(exc_val)

    def __repr__(self) -> str:
        pushed, _, durable, _ = self._lane.stats()
        state = "closed" if self._closed else "open"
        return f"<TopicWriter {self._name}: {state}, {pushed} pushed, {durable} durable>"


def _message(timestamp_ns: TimeLike | None, header: Header | None, data: Serializable | None) -> Message:
    if data is None or timestamp_ns is None:
        raise InvalidInputError("push() needs `message`, or both `ontology_obj` and `message_timestamp_ns`")
    if header is not None and getattr(data, "header", None) is None:
        data.header = header  # type: ignore[attr-defined]
    return Message(timestamp_ns=timestamp_ns, data=data)
