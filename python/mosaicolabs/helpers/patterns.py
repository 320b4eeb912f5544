"""Selection of names by patterns."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def select_names(names: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """The names that the patterns select.

    `*`, `?` and `[...]` match any text, one character, one of a set; a pattern that begins with `!` excludes
    names that earlier patterns selected. If the first pattern excludes, it starts from all names.

    Example:
        >>> sorted(select_names(["/cam0", "/cam1", "/imu"], ["/*", "!/cam*", "/cam1"]))
        ['/cam1', '/imu']
        >>> sorted(select_names(["/cam0", "/imu"], ["!/cam0"]))
        ['/imu']
    """
    names = set(names)
    chosen = set(names) if patterns and patterns[0].startswith("!") else set()
    for pattern in patterns:
        if pattern.startswith("!"):
            chosen -= {name for name in chosen if fnmatchcase(name, pattern[1:])}
        else:
            chosen |= {name for name in names if fnmatchcase(name, pattern)}
    return chosen
