"""Record and replay sensor data: sequences of typed topics, in a folder or on a `mosaicod` daemon.

Example:
    Record a sequence, and replay it in time order:

    >>> from mosaicolabs import IMU, Message, MosaicoClient, Vector3d
    >>> with MosaicoClient.embedded(store) as client:
    ...     with client.sequence_create("flight", {"site": "north"}) as writer:
    ...         imu = writer.topic_create("sensors/imu", {"rate_hz": 200}, IMU)
    ...         for step in range(3):
    ...             sample = IMU(acceleration=Vector3d(x=0.0, y=0.0, z=9.81))
    ...             imu.push(Message(timestamp_ns=step * 5_000_000, data=sample))
    ...     for topic, message in client.sequence_handler("flight").get_data_streamer():
    ...         print(topic, message.timestamp_ns, message.get_data(IMU).acceleration.z)
    /sensors/imu 0 9.81
    /sensors/imu 5000000 9.81
    /sensors/imu 10000000 9.81
"""

from typing import TYPE_CHECKING

from mosaicolabs._distribution import warn_of_mixed_distributions as _warn_of_mixed_distributions
from mosaicolabs._lazy_names import lazy_names as _lazy_names

if TYPE_CHECKING:
    from mosaicolabs._native import __version__
    from mosaicolabs.comm import Event, EventKind, MosaicoClient
    from mosaicolabs.enum import OnErrorPolicy, SequenceStatus, SerializationFormat, TopicLevelErrorPolicy
    from mosaicolabs.handlers import (
        Appender,
        DamagedRows,
        DamagedRowsWarning,
        QueryDataStreamer,
        RemoteRows,
        SequenceDataStreamer,
        SequenceHandler,
        SequenceLink,
        SequenceWriter,
        SystemInfo,
        TopicDataStreamer,
        TopicHandler,
        TopicWriter,
    )
    from mosaicolabs.logging_config import get_logger, setup_sdk_logging
    from mosaicolabs.models import (
        BaseModel,
        CovarianceMixin,
        GenericData,
        GenericStruct,
        Header,
        HeaderMixin,
        Message,
        Serializable,
        Time,
        VarianceMixin,
        generic_class,
    )
    from mosaicolabs.models.data import (
        ROI,
        Acceleration,
        Boolean,
        Floating16,
        Floating32,
        Floating64,
        ForceTorque,
        Integer8,
        Integer16,
        Integer32,
        Integer64,
        LargeString,
        MotionState,
        Point2d,
        Point3d,
        Pose,
        Quaternion,
        String,
        Transform,
        Unsigned8,
        Unsigned16,
        Unsigned32,
        Unsigned64,
        Vector2d,
        Vector3d,
        Vector4d,
        Velocity,
    )
    from mosaicolabs.models.platform import Sequence, Topic
    from mosaicolabs.models.query import (
        Query,
        QueryOntologyCatalog,
        QueryResponse,
        QueryResponseItem,
        QueryResponseItemSequence,
        QueryResponseItemTopic,
        QuerySequence,
        QueryTopic,
        TimestampRange,
        data_field,
    )
    from mosaicolabs.models.sensors import (
        GPS,
        IMU,
        CameraInfo,
        CompressedImage,
        GPSStatus,
        Image,
        ImageFormat,
        Magnetometer,
        NMEASentence,
        Pressure,
        Range,
        RobotJoint,
        Temperature,
    )

__all__ = [
    "GPS",
    "IMU",
    "ROI",
    "Acceleration",
    "Appender",
    "BaseModel",
    "Boolean",
    "CameraInfo",
    "CompressedImage",
    "CovarianceMixin",
    "DamagedRows",
    "DamagedRowsWarning",
    "Event",
    "EventKind",
    "Floating16",
    "Floating32",
    "Floating64",
    "ForceTorque",
    "GPSStatus",
    "GenericData",
    "GenericStruct",
    "Header",
    "HeaderMixin",
    "Image",
    "ImageFormat",
    "Integer8",
    "Integer16",
    "Integer32",
    "Integer64",
    "LargeString",
    "Magnetometer",
    "Message",
    "MosaicoClient",
    "MotionState",
    "NMEASentence",
    "OnErrorPolicy",
    "Point2d",
    "Point3d",
    "Pose",
    "Pressure",
    "Quaternion",
    "Query",
    "QueryDataStreamer",
    "QueryOntologyCatalog",
    "QueryResponse",
    "QueryResponseItem",
    "QueryResponseItemSequence",
    "QueryResponseItemTopic",
    "QuerySequence",
    "QueryTopic",
    "Range",
    "RemoteRows",
    "RobotJoint",
    "Sequence",
    "SequenceDataStreamer",
    "SequenceHandler",
    "SequenceLink",
    "SequenceStatus",
    "SequenceWriter",
    "Serializable",
    "SerializationFormat",
    "String",
    "SystemInfo",
    "Temperature",
    "Time",
    "TimestampRange",
    "Topic",
    "TopicDataStreamer",
    "TopicHandler",
    "TopicLevelErrorPolicy",
    "TopicWriter",
    "Transform",
    "Unsigned8",
    "Unsigned16",
    "Unsigned32",
    "Unsigned64",
    "VarianceMixin",
    "Vector2d",
    "Vector3d",
    "Vector4d",
    "Velocity",
    "__version__",
    "data_field",
    "generic_class",
    "get_logger",
    "setup_sdk_logging",
]

_HOMES = {
    "_native": "__version__",
    "comm": "Event EventKind MosaicoClient",
    "enum": "OnErrorPolicy SequenceStatus SerializationFormat TopicLevelErrorPolicy",
    "handlers": (
        "Appender DamagedRows DamagedRowsWarning QueryDataStreamer RemoteRows SequenceDataStreamer "
        "SequenceHandler SequenceLink SequenceWriter SystemInfo TopicDataStreamer TopicHandler "
        "TopicWriter"
    ),
    "logging_config": "get_logger setup_sdk_logging",
    "models": (
        "BaseModel CovarianceMixin GenericData GenericStruct Header HeaderMixin Message Serializable Time "
        "VarianceMixin generic_class"
    ),
    "models.data": (
        "ROI Acceleration Boolean Floating16 Floating32 Floating64 ForceTorque Integer8 Integer16 "
        "Integer32 Integer64 LargeString MotionState Point2d Point3d Pose Quaternion String Transform "
        "Unsigned8 Unsigned16 Unsigned32 Unsigned64 Vector2d Vector3d Vector4d Velocity"
    ),
    "models.platform": "Sequence Topic",
    "models.query": (
        "Query QueryOntologyCatalog QueryResponse QueryResponseItem QueryResponseItemSequence "
        "QueryResponseItemTopic QuerySequence QueryTopic TimestampRange data_field"
    ),
    "models.sensors": (
        "GPS IMU CameraInfo CompressedImage GPSStatus Image ImageFormat Magnetometer NMEASentence "
        "Pressure Range RobotJoint Temperature"
    ),
}
"""Where each name is defined; `TYPE_CHECKING` above shows the same to type checkers and editors."""

_MODULES = frozenset({"comm", "enum", "exceptions", "handlers", "helpers", "logging_config", "models"})

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


__getattr__ = _lazy_names(__name__, _HOME_OF, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


_warn_of_mixed_distributions()
