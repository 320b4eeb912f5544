"""Says in one line what became of a recording whose block ended with an exception."""

import sys


def add_note(error: BaseException, note: str) -> bool:
    """Adds a line that the traceback shows; False on Python 3.10, which has no notes."""
    if not hasattr(error, "add_note"):
        return False
    error.add_note(note)
    return True


def report_outcome(sequence_name: str, outcome: str, error: BaseException, setting: str) -> None:
    """Adds the line to an error, whose traceback shows it; for an interrupt, prints it on stderr.

    Args:
        sequence_name: The sequence.
        outcome: What happened to it, such as `deleted`.
        error: The exception that ended the block.
        setting: The argument that decided it, such as `on_error=Delete`.
    """
    line = f"sequence '{sequence_name}' was {outcome}"
    if isinstance(error, Exception) and add_note(error, f"{line}; {setting}"):
        return
    reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    print(f"mosaicolabs: {line}: {reason}; {setting}", file=sys.stderr)
