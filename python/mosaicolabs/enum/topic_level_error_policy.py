"""What happens to a topic when one of its messages fails."""

from enum import Enum


class TopicLevelErrorPolicy(Enum):
    """Fate of a topic when a message of it cannot be stored."""

    Finalize = "finalize"
    """Complete the topic with what came before; its later messages are left out and counted."""

    Ignore = "ignore"
    """Leave the message out, count it, go on with the next one."""

    Raise = "raise"
    """End the recording; the error policy of the sequence says what becomes of it."""
