"""What happens to a sequence whose recording fails."""

from enum import Enum


class OnErrorPolicy(Enum):
    """Fate of a sequence when the `with` block of its writer ends in an error."""

    Report = "report"
    """Keep what was pushed, create a notification with the error, leave the sequence unlocked."""

    Delete = "delete"
    """Delete the sequence with all its data."""
