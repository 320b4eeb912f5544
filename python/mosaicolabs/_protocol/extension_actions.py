"""Names of the Flight actions that only daemons of this package know."""

from mosaicolabs.enum._str_enum import StrEnum


class ExtensionAction(StrEnum):
    """A Flight action; its value is the action type sent on the wire."""

    EVENT_LIST = "event_list"
    SEQUENCE_END = "sequence_end"
