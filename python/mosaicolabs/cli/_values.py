"""Messages as JSON types, and as one line of text."""

from enum import Enum
from typing import Any

from mosaicolabs.helpers.json_values import to_json
from mosaicolabs.models import Message


def message_json(topic: str, message: Message, *, summarise_bytes: bool) -> dict[str, Any]:
    """The document that `cat --json` prints for a message."""
    return {
        "topic": topic,
        "timestamp_ns": message.timestamp_ns,
        "recording_timestamp_ns": message.recording_timestamp_ns,
        "ontology": message.ontology_tag(),
        "data": to_json(message.data.model_dump(), summarise_bytes=summarise_bytes),
    }


def message_text(message: Message) -> str:
    """The fields that are set, without the header, which repeats the time of the message."""
    return _text({key: value for key, value in message.data.model_dump().items() if key != "header"})


def _text(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return " ".join(f"{key}={_nested(item)}" for key, item in value.items() if item is not None)
    return str(value)


def _nested(value: Any) -> str:
    return f"({_text(value)})" if isinstance(value, dict) else _text(value)
