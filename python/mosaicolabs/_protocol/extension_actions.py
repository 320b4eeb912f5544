"""Names of the Flight actions that mosaicod has beyond protocol 0.2."""

from mosaicolabs.enum._str_enum import StrEnum


class ExtensionAction(StrEnum):
    """A Flight action; its value is the action type sent on the wire."""

    EVENT_LIST = "event_list"
    SEQUENCE_END = "sequence_end"
    SEQUENCE_LINK = "sequence_link"
