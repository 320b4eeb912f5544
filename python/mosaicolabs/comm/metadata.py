"""The metadata that a daemon attaches to the schema of a sequence or topic."""

from mosaicolabs._protocol.metadata import _ROS_KEY_PREFIX, SequenceMetadata, TopicMetadata

__all__ = ["_ROS_KEY_PREFIX", "SequenceMetadata", "TopicMetadata"]
