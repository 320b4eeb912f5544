"""Names of the Flight actions of protocol 0.2."""

from mosaicolabs.enum._str_enum import StrEnum


class FlightAction(StrEnum):
    """A Flight action; its value is the action type sent on the wire."""

    SEQUENCE_CREATE = "sequence_create"
    SEQUENCE_FINALIZE = "sequence_finalize"
    SEQUENCE_NOTIFY_CREATE = "sequence_notify_create"
    SEQUENCE_NOTIFY_LIST = "sequence_notify_list"
    SEQUENCE_NOTIFY_PURGE = "sequence_notify_purge"
    SEQUENCE_SYSTEM_INFO = "sequence_system_info"
    SEQUENCE_ABORT = "sequence_abort"
    SEQUENCE_DELETE = "sequence_delete"
    TOPIC_CREATE = "topic_create"
    TOPIC_NOTIFY_CREATE = "topic_notify_create"
    TOPIC_NOTIFY_LIST = "topic_notify_list"
    TOPIC_NOTIFY_PURGE = "topic_notify_purge"
    TOPIC_SYSTEM_INFO = "topic_system_info"
    TOPIC_DELETE = "topic_delete"
    QUERY = "query"
