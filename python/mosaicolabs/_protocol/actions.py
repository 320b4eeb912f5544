"""Actions and flight infos as typed functions over the native client."""

import json
import logging
from typing import Any, TypeAlias

from mosaicolabs import _native
from mosaicolabs._protocol.extension_actions import ExtensionAction
from mosaicolabs._protocol.legacy_errors import translated_errors
from mosaicolabs._protocol.malformed import well_formed
from mosaicolabs._protocol.manifests import Endpoint, TopicResourceManifest
from mosaicolabs._protocol.metadata import decode_metadata, parse_datetime
from mosaicolabs._protocol.notifications import Notified, NotifyType
from mosaicolabs._protocol.system_info import SystemInfo, sum_by_daemon
from mosaicolabs.enum import FlightAction
from mosaicolabs.exceptions import InternalError, InvalidInputError
from mosaicolabs.helpers import unpack_topic_full_path

logger = logging.getLogger(__name__)

Facts: TypeAlias = tuple[int, str, bool, int | None]
"""Stored bytes, creation time, whether it is locked, number of chunks (topics only)."""


def call(
    client: _native.Client,
    action: FlightAction | ExtensionAction,
    *,
    reconnect_timeout_s: float = 0.0,
    **body: Any,
) -> dict[str, Any] | None:
    """Runs an action.

    Args:
        client: The native client.
        action: The action.
        reconnect_timeout_s: For actions of an open recording: how long to wait for an unreachable daemon, s.
        body: The request, as JSON types.

    Returns:
        The answer; None if it has no content.

    Raises:
        InvalidInputError: The body is not JSON.
        MosaicoError: The daemon refuses.
    """
    try:
        text = json.dumps(body, allow_nan=False)
    except ValueError as error:
        raise InvalidInputError(f"{action.value}: {error}; JSON has no NaN or infinities") from error
    with translated_errors(client):
        answer = (
            client.recording_action(action.value, text, reconnect_timeout_s)
            if reconnect_timeout_s
            else client.action(action.value, text)
        )
    return None if answer is None else json.loads(answer)


def info(
    client: _native.Client, locator: str, window: tuple[int | None, int | None] = (None, None)
) -> tuple[dict[str, str], list[Endpoint], Facts | None]:
    """Metadata of a sequence or topic, an endpoint per topic, and its facts.

    The tickets are limited to the window. Only mosaicod answers the facts; a Mosaico 0.2 server does not.

    Raises:
        NotFoundError: There is no such sequence or topic.
        MosaicoError: The daemon refuses.
    """
    with translated_errors(client):
        return client.info(locator, *window)


def create_key(
    client: _native.Client, action: FlightAction, *, reconnect_timeout_s: float = 0.0, **body: Any
) -> str:
    """Runs a create action and returns the key that authorizes writing the new resource."""
    answer = call(client, action, reconnect_timeout_s=reconnect_timeout_s, **body)
    if not answer or not isinstance(answer.get("key"), str):
        raise InternalError(f"the daemon answered {action.value} of {body.get('name')!r} without a key")
    return str(answer["key"])


def describe(
    client: _native.Client, action: FlightAction, name: str
) -> tuple[dict[str, Any], list[TopicResourceManifest], SystemInfo]:
    """Metadata, topics, and size, lock state and creation time of a sequence or topic.

    One call; Mosaico 0.2 servers need `action` as a second one. The log names messages that cannot be read.
    """
    schema_metadata, endpoints, facts = info(client, name)
    if facts is None:
        system = system_info(client, action, name)
    else:
        total_size_bytes, created, is_locked, chunks_number = facts
        with well_formed(f"facts about {name!r}"):
            system = SystemInfo(total_size_bytes, parse_datetime(created), is_locked, chunks_number)
    with well_formed(f"endpoints of {name!r}"):
        manifests = [TopicResourceManifest.from_endpoint(endpoint) for endpoint in endpoints]
    for some in sum_by_daemon(some for manifest in manifests for some in manifest.remote_rows):
        logger.warning("%r: reads lack %s", name, some)
    return decode_metadata(schema_metadata), manifests, system


def system_info(client: _native.Client, action: FlightAction, name: str) -> SystemInfo:
    """Size, lock state and creation time of a sequence or topic."""
    answer = call(client, action, name=name)
    if answer is None:
        raise InternalError(f"the daemon answered {action.value} of {name!r} without content")
    with well_formed(f"facts about {name!r}"):
        answer["created_datetime"] = parse_datetime(answer["created_datetime"])
        return SystemInfo(**answer)


def list_notifications(client: _native.Client, action: FlightAction, name: str) -> list[Notified]:
    """Notifications of a sequence or topic, oldest first."""
    answer = call(client, action, name=name) or {}
    with well_formed(f"notifications of {name!r}"):
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
