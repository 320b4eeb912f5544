"""What happens to a topic when one of its messages fails."""

from enum import Enum


class TopicLevelErrorPolicy(Enum):
    """Fate of a topic when one of its messages cannot be stored."""

    Finalize = "finalize"
    """Complete the topic with the messages before the failure; skip and count later ones."""

    Ignore = "ignore"
    """Skip and count the message, and continue with the next one."""

    Raise = "raise"
    """End the recording; the error policy of the sequence applies."""
