"""What goes wrong, and what is left out."""

from dataclasses import dataclass

from mosaicolabs.exceptions import InvalidInputError


class ExportError(InvalidInputError):
    """The sequence or an option does not fit the format, or the target cannot be used."""


@dataclass(frozen=True)
class NotExported:
    """A topic, or a part of one, that the format does not represent.

    Attributes:
        topic: Name of the topic.
        reason: Why it is not exported.
    """

    topic: str
    reason: str
