"""The control calls that the Python layer makes, as typed functions over the native client."""

import json
from typing import Any, TypeAlias

from mosaicolabs import _native
from mosaicolabs.comm._refusals import understood
from mosaicolabs.comm.metadata import decode_metadata, parse_datetime
from mosaicolabs.comm.notifications import Notified, NotifyType
from mosaicolabs.enum import FlightAction
from mosaicolabs.enum._own_action import OwnAction
from mosaicolabs.exceptions import InternalError, InvalidInputError
from mosaicolabs.handlers.endpoints import Endpoint, TopicResourceManifest
from mosaicolabs.handlers.system_info import SystemInfo
from mosaicolabs.helpers import unpack_topic_full_path

Facts: TypeAlias = tuple[int, str, bool, int | None]
"""Stored bytes, creation time, whether it is locked, number of chunks of a topic."""


def call(
    client: _native.Client, action: FlightAction | OwnAction, *, reconnect_timeout_s: float = 0.0, **body: Any
) -> dict[str, Any] | None:
    """Runs an action; an answer without content is None.

    With `reconnect_timeout_s` it is an action of an open recording: a daemon that went away is waited for so long.

    Raises:
        InvalidInputError: The body is not JSON.
        MosaicoError: The daemon refuses.
    """
    try:
        text = json.dumps(body, allow_nan=False)
    except ValueError as error:
        raise InvalidInputError(f"{action.value}: {error}; JSON has no NaN or infinities") from error
    with understood(client):
        answer = (
            client.recording_action(action.value, text, reconnect_timeout_s)
            if reconnect_timeout_s
            else client.action(action.value, text)
        )
    return None if answer is None else json.loads(answer)


def info(
    client: _native.Client, locator: str, window: tuple[int | None, int | None] = (None, None)
) -> tuple[dict[str, str], list[Endpoint], Facts | None]:
    """Metadata of a sequence or topic, how to read each topic of it, and its state if the server is ours.

    The window goes into the tickets.

    Raises:
        NotFoundError: There is no such sequence or topic.
        MosaicoError: The daemon refuses.
    """
    with understood(client):
        return client.info(locator, *window)


def create_key(client: _native.Client, action: FlightAction, *, reconnect_timeout_s: float = 0.0, **body: Any) -> str:
    """Runs a create action and returns the key that opens the new resource."""
    answer = call(client, action, reconnect_timeout_s=reconnect_timeout_s, **body)
    if not answer or not isinstance(answer.get("key"), str):
        raise InternalError(f"the daemon answered {action.value} of {body.get('name')!r} without a key")
    return str(answer["key"])


def describe(
    client: _native.Client, action: FlightAction, name: str
) -> tuple[dict[str, Any], list[TopicResourceManifest], SystemInfo]:
    """Metadata, topics, and size, lock state and creation time of a sequence or topic.

    One call; servers of Mosaico 0.2 need `action` as a second one.
    """
    schema_metadata, endpoints, facts = info(client, name)
    if facts is None:
        system = system_info(client, action, name)
    else:
        total_size_bytes, created, is_locked, chunks_number = facts
        system = SystemInfo(total_size_bytes, parse_datetime(created), is_locked, chunks_number)
    manifests = [TopicResourceManifest.from_endpoint(endpoint) for endpoint in endpoints]
    return decode_metadata(schema_metadata), manifests, system


def system_info(client: _native.Client, action: FlightAction, name: str) -> SystemInfo:
    """Size, lock state and creation time of a sequence or topic."""
    answer = call(client, action, name=name)
    if answer is None:
        raise InternalError(f"the daemon answered {action.value} of {name!r} without content")
    answer["created_datetime"] = parse_datetime(answer["created_datetime"])
    return SystemInfo(**answer)


def list_notifications(client: _native.Client, action: FlightAction, name: str) -> list[Notified]:
    """Notifications of a sequence or topic, oldest first."""
    answer = call(client, action, name=name) or {}
    return [_notified(entry) for entry in answer.get("notifies", [])]


def _notified(entry: dict[str, Any]) -> Notified:
    parts = unpack_topic_full_path(entry["name"])
    sequence_name, topic_name = parts if parts else (entry["name"].strip("/"), None)
    return Notified(
        sequence_name=sequence_name,
        notify_type=NotifyType(entry["notify_type"]),
        message=entry["msg"],
        created_datetime=parse_datetime(entry["created_datetime"]),
        topic_name=topic_name,
    )
