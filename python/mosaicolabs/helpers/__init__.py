"""Names: ontology tags, sequence and topic names, resource paths."""

from mosaicolabs.helpers.helpers import (
    camel_to_snake,
    pack_topic_resource_name,
    sanitize_sequence_name,
    sanitize_topic_name,
    unpack_topic_full_path,
)
from mosaicolabs.helpers.names import validate_sequence_name, validate_topic_name

__all__ = [
    "camel_to_snake",
    "pack_topic_resource_name",
    "sanitize_sequence_name",
    "sanitize_topic_name",
    "unpack_topic_full_path",
    "validate_sequence_name",
    "validate_topic_name",
]
