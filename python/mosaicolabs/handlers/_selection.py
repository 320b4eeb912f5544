"""What of a sequence is read: topics by name or pattern, and a window of time."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from mosaicolabs._streams.open import Window
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers.patterns import select_names
from mosaicolabs.helpers.suggest import did_you_mean
from mosaicolabs.helpers.times import TimeLike, to_ns

Topics: TypeAlias = str | Iterable[str] | None
"""One name or pattern, or several: `"imu"`, `"camera/*"`, `["/imu", "!/imu/raw"]`. None or empty: all."""


def window_of(start: TimeLike | None, end: TimeLike | None, bounds: Window = (None, None)) -> Window:
    """The window in ns; offsets count from `bounds`, the first and the last message.

    Raises:
        InvalidInputError: One is not a time.
    """
    return _bound("start_timestamp_ns", start, bounds), _bound("end_timestamp_ns", end, bounds)


def _bound(name: str, time: TimeLike | None, bounds: Window) -> int | None:
    if time is None:
        return None
    try:
        return to_ns(time, *bounds)
    except ValueError as error:
        raise InvalidInputError(f"{name}: {error}") from error


def topic_patterns(topics: Topics) -> list[str]:
    """The patterns, each with the leading slash of names."""
    given = [topics] if isinstance(topics, str) else list(topics or ())
    return [f"!/{name[1:].strip('/')}" if name.startswith("!") else f"/{name.strip('/')}" for name in given]


def select_topics(topics: Topics, existing: Sequence[str], sequence_name: str) -> list[str]:
    """The names that are selected, in the order of `existing`.

    `*`, `?` and `[...]` match any text (slashes too), one character, one of a set; a pattern that begins with
    `!` excludes.

    Raises:
        InvalidInputError: A name, or a pattern that selects, fits no topic; or all are excluded.
    """
    patterns = topic_patterns(topics)
    if not patterns:
        return list(existing)
    unknown = [
        pattern
        for pattern in patterns
        if not pattern.startswith("!") and not select_names(existing, [pattern])
    ]
    if unknown:
        raise InvalidInputError(
            f"Invalid input topic names {unknown}: sequence '{sequence_name}' has no such topic; "
            f"{did_you_mean(unknown[0], existing)}"
        )
    chosen = select_names(existing, patterns)
    if not chosen:
        raise InvalidInputError(f"{' '.join(patterns)} excludes all topics of sequence '{sequence_name}'")
    return [name for name in existing if name in chosen]
