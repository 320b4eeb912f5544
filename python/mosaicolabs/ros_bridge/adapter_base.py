"""Base of adapters, which translate one or more ROS types into one data class."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable

from .ros_message import ROSHeader, ROSMessage

T = TypeVar("T", bound=Serializable)


class TranslationError(InvalidInputError):
    """A ROS message is not what its adapter expects."""


class ROSAdapterBase(ABC, Generic[T]):
    """Base of all adapters. Adapters are classes, never instantiated.

    Attributes:
        ros_msgtype: ROS type, or types, such as `sensor_msgs/msg/Imu`.
        __mosaico_ontology_type__: The data class.
        _REQUIRED_KEYS: Fields that a message must have.
        octets_as_bytes: Whether `from_dict` expects arrays of `uint8` as `bytes` instead of lists, which cost
            a hundred times more for an image. The injector then translates in threads.

    Example:
        >>> import pyarrow as pa
        >>> class Encoder(Serializable):
        ...     __msco_pyarrow_struct__ = pa.struct([pa.field("ticks", pa.int64(), nullable=False)])
        ...     ticks: int
        >>> class EncoderAdapter(ROSAdapterBase[Encoder]):
        ...     ros_msgtype = "my_msgs/msg/Encoder"
        ...     __mosaico_ontology_type__ = Encoder
        ...     @classmethod
        ...     def from_dict(cls, ros_data):
        ...         return Encoder(ticks=ros_data["count"])
        >>> message = EncoderAdapter.translate(ROSMessage(70, "/wheel", "my_msgs/msg/Encoder", {"count": 3}))
        >>> message.timestamp_ns, message.data.ticks
        (70, 3)
    """

    ros_msgtype: ClassVar[str | tuple[str, ...]]
    __mosaico_ontology_type__: ClassVar[type[Any]]
    _REQUIRED_KEYS: ClassVar[tuple[str, ...]] = ()
    octets_as_bytes: ClassVar[bool] = False

    @classmethod
    def ros_msg_type(cls) -> str | tuple[str, ...]:
        """The ROS type, or types."""
        return cls.ros_msgtype

    @classmethod
    def ontology_data_type(cls) -> type[T]:
        """The data class."""
        return cls.__mosaico_ontology_type__

    @classmethod
    def makes(cls, data_class: type) -> bool:
        """Whether the adapter creates objects of this class."""
        return cls.ontology_data_type() is data_class

    @classmethod
    @abstractmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> T:
        """The data object of a decoded message.

        Raises:
            ValueError: A required field is missing, or a value does not fit.
        """

    @classmethod
    def to_dict(cls, data: T, ros_type: str) -> dict[str, Any]:
        """The fields of a message of a ROS type, for exports: the reverse of `from_dict`.

        Fields that are left out are zero or empty. `header` is filled in by the caller.

        Args:
            data: An object of the data class.
            ros_type: One of the types of the adapter.

        Raises:
            NotImplementedError: The adapter translates messages of bags only.
            ValueError: A value has no place in the ROS type.
        """
        raise NotImplementedError(f"{cls.__name__} has no to_dict; define it to export {ros_type}")

    @classmethod
    def is_two_way(cls) -> bool:
        """Whether the adapter has a `to_dict`."""
        return cls.to_dict.__func__ is not ROSAdapterBase.to_dict.__func__  # type: ignore[attr-defined]

    @classmethod
    def export_type(cls, data: T) -> str:
        """The ROS type for a topic that is not from a bag; by default the first type of the adapter."""
        types = cls.ros_msg_type()
        return types if isinstance(types, str) else types[0]

    @classmethod
    def schema_metadata(cls, ros_data: dict[str, Any], **kwargs: Any) -> dict[str, Any] | None:
        """Metadata of a topic from one of its messages; not used by the injector."""
        return None

    @classmethod
    def translate(cls, ros_msg: ROSMessage, **kwargs: Any) -> Message:
        """The message: data, and both times of the ROS message.

        `timestamp_ns` is the stamp of the header, or the time of the bag when there is no header or its
        stamp is zero, which in ROS means "not set". `recording_timestamp_ns` is the time of the bag.

        Args:
            ros_msg: The decoded message.
            kwargs: Options of the adapter; most have none.

        Raises:
            TranslationError: The message was not decoded or does not match; names topic, type and time.
        """
        try:
            if ros_msg.data is None:
                raise ValueError("it was not decoded")
            data = cls._data(ros_msg.data, kwargs)
            header = ros_msg.header
            # Adapters of users may omit the header.
            if header is not None and getattr(data, "header", cls) is None:
                data.header = header.translate()  # type: ignore[attr-defined]
            stamp_ns = header.stamp.to_nanoseconds() if header is not None else 0
            return Message(
                data=data,
                timestamp_ns=stamp_ns or ros_msg.bag_timestamp_ns,
                recording_timestamp_ns=ros_msg.bag_timestamp_ns,
            )
        except Exception as error:
            raise TranslationError(
                f"{ros_msg.msg_type} of `{ros_msg.topic}` at {ros_msg.bag_timestamp_ns} ns: {error}"
            ) from error

    @classmethod
    def _data(cls, ros_data: dict[str, Any], options: dict[str, Any]) -> T:
        """The data object; adapters with options pass them to `from_dict`."""
        return cls.from_dict(ros_data)

    @classmethod
    def _require(cls, ros_data: dict[str, Any]) -> list[Any]:
        """The values of the required fields."""
        try:
            return [ros_data[key] for key in cls._REQUIRED_KEYS]
        except KeyError:
            missing = ", ".join(key for key in cls._REQUIRED_KEYS if key not in ros_data)
            there = ", ".join(ros_data)
            raise ValueError(f"{cls.__name__} needs the fields {missing}; the message has: {there}") from None

    @classmethod
    def _header(cls, ros_data: dict[str, Any]) -> Any:
        header = ros_data.get("header")
        return None if header is None else ROSHeader.from_dict(header).translate()
