"""Registry of adapters: maps ROS types to data classes."""

from typing import Any, ClassVar, Generic, TypeVar

from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable

from .adapter_base import ROSAdapterBase
from .ros_message import ROSMessage

Adapter = type[ROSAdapterBase[Any]]
AdapterT = TypeVar("AdapterT", bound=Adapter)
T = TypeVar("T", bound=type[Serializable])


class ROSBridge(Generic[T]):
    """Finds adapters and translates messages with them. Never instantiated.

    Example:
        >>> from mosaicolabs.ros_bridge import ROSBridge, ROSMessage
        >>> ROSBridge.get_adapter("sensor_msgs/msg/Imu").__name__
        'IMUAdapter'
        >>> text = ROSMessage(5, "/chatter", "std_msgs/msg/String", {"data": "hello"})
        >>> ROSBridge.from_ros_message(text).data.data
        'hello'
    """

    _adapters: ClassVar[dict[str, Adapter]] = {}
    # Adapters that an adapter of the user for the same type replaces.
    _fallbacks: ClassVar[dict[str, Adapter]] = {}

    @classmethod
    def get_adapters(cls) -> dict[str, Adapter]:
        """All adapters by ROS type."""
        return {**cls._fallbacks, **cls._adapters}

    @classmethod
    def get_adapter(cls, ros_msg_type: str) -> Adapter | None:
        """The adapter of a ROS type such as `sensor_msgs/msg/Imu`; None if there is none."""
        return cls._adapters.get(ros_msg_type) or cls._fallbacks.get(ros_msg_type)

    get_default_adapters = get_adapters
    get_default_adapter = get_adapter

    @classmethod
    def is_msgtype_adapted(cls, ros_msg_type: str) -> bool:
        """Whether the ROS type has an adapter."""
        return cls.get_adapter(ros_msg_type) is not None

    @classmethod
    def is_adapted(cls, mosaico_cls: T) -> bool:
        """Whether an adapter creates objects of this data class."""
        return any(adapter.makes(mosaico_cls) for adapter in cls.get_adapters().values())

    @classmethod
    def adapters_to_ros(cls, data_class: type) -> list[Adapter]:
        """The adapters that translate objects of a data class into messages, those of users first."""
        found = dict.fromkeys([*cls._adapters.values(), *cls._fallbacks.values()])
        return [adapter for adapter in found if adapter.is_two_way() and adapter.makes(data_class)]

    @classmethod
    def from_ros_message(cls, ros_msg: ROSMessage, **kwargs: Any) -> Message | None:
        """Translates with the adapter of the message's type; None if there is none.

        Raises:
            TranslationError: The message does not match its adapter.
        """
        adapter = cls.get_adapter(ros_msg.msg_type)
        return None if adapter is None else adapter.translate(ros_msg, **kwargs)


def register_adapter(adapter: AdapterT) -> AdapterT:
    """Class decorator: registers an adapter for its ROS types.

    Raises:
        ValueError: One of the types already has an adapter.
    """
    _register(adapter, ROSBridge._adapters)
    return adapter


register_default_adapter = register_adapter


def register_fallback_adapter(adapter: AdapterT) -> AdapterT:
    """For adapters beyond those of Mosaico 0.2: adapters of users for the same type take precedence."""
    _register(adapter, ROSBridge._fallbacks)
    return adapter


def ros_types(adapter: Adapter) -> tuple[str, ...]:
    """The ROS types of an adapter as a tuple."""
    types = adapter.ros_msg_type()
    return (types,) if isinstance(types, str) else tuple(types)


def _register(adapter: Adapter, registry: dict[str, Adapter]) -> None:
    taken = [name for name in ros_types(adapter) if name in registry]
    if taken:
        raise ValueError(
            f"adapter '{adapter.__name__}' cannot be registered for {', '.join(taken)}, which "
            f"'{registry[taken[0]].__name__}' translates; use adapter_overrides for single topics"
        )
    registry.update(dict.fromkeys(ros_types(adapter), adapter))
