"""The envelope of every record: data plus its times."""

from collections.abc import Iterable
from copy import copy
from typing import Any, Final, Protocol, TypeVar, cast, get_args

from mosaicolabs.helpers.times import TimeLike, is_point_in_time, to_ns
from mosaicolabs.logging_config import get_logger
from mosaicolabs.models._conversions import restored_fields
from mosaicolabs.models._dataframe_rows import data_from_columns
from mosaicolabs.models._schema import check_wrappable
from mosaicolabs.models.base_model import BaseModel, fill_unvalidated
from mosaicolabs.models.header import Header, header_at
from mosaicolabs.models.serializable import Serializable

SerializableT = TypeVar("SerializableT", bound=Serializable)

_logger = get_logger(__name__)

_MISSING: Final[Any] = object()

# Whether a class that passed check_wrappable has a Header field. A hit also proves that the data is an
# instance of a registered class, which is all that pydantic would check.
_HAS_HEADER: dict[type, bool] = {}


class DataFrameRow(Protocol):
    """What `from_dataframe_row` needs of a pandas Series: its (column name, value) pairs."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Pairs of column name and value."""


class Message(BaseModel):
    """One record of a topic.

    Attributes:
        data: Instance of a data class.
        timestamp_ns: Message time, ns since the Unix epoch; determines the order of replay. Default: the
            stamp of `data.header`, else `recording_timestamp_ns`. Always an int after construction.
        recording_timestamp_ns: Time of recording, ns since the Unix epoch.

    If the class of `data` has a header and the header is None, the data object itself receives one stamped
    with the message time. A header that the user set is kept, even if it disagrees. A header that an earlier
    message filled in belongs to that message: if the time differs, this message holds a shallow copy of the
    data with its own header.

    Times may also be datetimes with a time zone, `pandas.Timestamp`, `numpy.datetime64`, or ISO 8601 texts.

    Raises:
        ValueError: A time is not one.
        pydantic.ValidationError: There is no time, `data` is not an instance of a data class, or the class
            has a field named like a time of the message.

    Example:
        >>> from mosaicolabs.models.sensors import Temperature
        >>> message = Message(timestamp_ns=5_000_000_000, data=Temperature(value=293.0))
        >>> message.ontology_tag(), message.get_data(Temperature).header.stamp.sec
        ('temperature', 5)
    """

    data: Serializable
    timestamp_ns: int | None = None
    recording_timestamp_ns: int | None = None

    def __init__(
        self,
        *,
        data: Serializable = _MISSING,
        timestamp_ns: TimeLike | None = None,
        recording_timestamp_ns: TimeLike | None = None,
        **extra: Any,
    ) -> None:
        # The hot path of recording: exact types need no validation, anything else goes to pydantic.
        has_header = _HAS_HEADER.get(data.__class__)
        if (
            has_header is None
            or timestamp_ns.__class__ is not int
            or (recording_timestamp_ns is not None and recording_timestamp_ns.__class__ is not int)
            or self.__class__ is not Message
        ):
            given = {
                "timestamp_ns": _ns(timestamp_ns),
                "recording_timestamp_ns": _ns(recording_timestamp_ns),
                **extra,
            }
            super().__init__(**(given if data is _MISSING else {"data": data, **given}))
            return
        if has_header:
            data = _with_header(data, timestamp_ns)
        fill_unvalidated(
            self,
            {"data": data, "timestamp_ns": timestamp_ns, "recording_timestamp_ns": recording_timestamp_ns},
            {"data", "timestamp_ns", "recording_timestamp_ns"},
        )

    def model_post_init(self, context: Any, /) -> None:
        """Checks the class of the data, determines the message time and fills in the header."""
        has_header = has_header_field(type(self.data))
        if self.timestamp_ns is None:
            header = getattr(self.data, "header", None) if has_header else None
            if header is not None:
                self.timestamp_ns = header.stamp.to_nanoseconds()
            elif self.recording_timestamp_ns is not None:
                self.timestamp_ns = self.recording_timestamp_ns
            else:
                raise ValueError(
                    "Timestamp data is needed. "
                    "Give timestamp_ns, data with a header, or recording_timestamp_ns"
                )
        if has_header:
            self.data = _with_header(self.data, self.timestamp_ns)

    @property
    def timestamp(self) -> int:
        """The message time, ns since the Unix epoch; the same as `timestamp_ns`."""
        return cast(int, self.timestamp_ns)  # set by __init__

    def get_data(self, target_type: type[SerializableT]) -> SerializableT:
        """The data as an instance of the class that the caller expects.

        Raises:
            TypeError: The data is of another class.
        """
        if not isinstance(self.data, target_type):
            raise TypeError(
                f"the data is of class '{type(self.data).__name__}', not '{target_type.__name__}'"
            )
        return self.data

    def _repr_png_(self) -> bytes | None:
        """The picture of the data in notebooks, if it is one."""
        make = getattr(self.data, "_repr_png_", None)
        return make() if callable(make) else None

    def ontology_type(self) -> type[Serializable]:
        """The class of the data."""
        return type(self.data)

    def ontology_tag(self) -> str:
        """The tag of the class of the data."""
        return type(self.data).ontology_tag()

    @staticmethod
    def from_dataframe_row(
        row: DataFrameRow, topic_name: str, timestamp_column_name: str = "timestamp_ns"
    ) -> "Message | None":
        """Creates a message from one row of a frame with columns `{topic}.{tag}.{path}`.

        NaN, None and pandas' NA are missing values; a nested object without any value is None. In a float
        that the class requires, NaN is a number. Lists, also of lists or objects, and 64-bit integers are
        restored exactly from the frames of `mosaicolabs.ml.DataFrameExtractor`.

        Args:
            row: A pandas Series, or anything with `items()`.
            topic_name: The topic, as in the column names.
            timestamp_column_name: Column of the message time, ns.

        Returns:
            The message. None if the row has no column of the topic or no time, or if its values do
            not make a valid message; the last is logged.

        Raises:
            ValueError: No registered tag follows the topic in the column names.

        Example:
            >>> row = {"timestamp_ns": 5, "/t.temperature.value": 293.0}
            >>> Message.from_dataframe_row(row, "/t").data.value
            293.0
        """
        columns = {str(name): value for name, value in row.items()}
        rebuilt = data_from_columns(columns, topic_name, timestamp_column_name)
        if rebuilt is None:
            return None
        cls, times, values = rebuilt
        try:
            fields = restored_fields(cls, cls.__msco_pyarrow_struct__, values)
            return Message(data=cls(**fields), **times)
        except (TypeError, ValueError) as error:
            _logger.error("row of topic '%s' at %s is not a valid message: %s", topic_name, times, error)
            return None


def _ns(time: Any) -> Any:
    """Times of the calendar as ns; the rest, such as text of digits, is left to validation."""
    if is_point_in_time(time):
        return to_ns(time)
    try:
        return to_ns(time) if isinstance(time, str) and not time.strip().lstrip("+-").isdigit() else time
    except ValueError:
        return time


def has_header_field(cls: type[Serializable]) -> bool:
    """Whether messages fill in the header of this class; checks the class at its first message.

    Raises:
        ValueError: The class has a field named like a time of the message.
    """
    known = _HAS_HEADER.get(cls)
    if known is None:
        check_wrappable(cls)
        field = cls.model_fields.get("header")
        known = field is not None and Header in (field.annotation, *get_args(field.annotation))
        _HAS_HEADER[cls] = known
    return known


def _with_header(data: Serializable, timestamp_ns: int) -> Serializable:
    """The data with a header: itself, or a copy if its header was filled in for another time."""
    # The fields-set contains a header that the user set, but not one that a message filled in (an explicit
    # `header=None` adds it). Objects that were read share one set.
    header = data.__dict__["header"]
    fields_set = data.__pydantic_fields_set__
    if header is None:
        data.__dict__["header"] = header_at(timestamp_ns)
        if "header" in fields_set:
            object.__setattr__(data, "__pydantic_fields_set__", fields_set - {"header"})
    elif "header" not in fields_set and header.stamp.to_nanoseconds() != timestamp_ns:
        data = copy(data)
        data.__dict__["header"] = header_at(timestamp_ns)
    return data
