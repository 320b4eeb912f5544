"""Names of the sequences that `mosaico ingest` creates, from those of files and folders."""

import re
from collections.abc import Sequence
from pathlib import Path

import click

_REFUSED = re.compile(r"[^A-Za-z0-9_-]+")
_PLACEHOLDER = re.compile(r"\{(stem|parent)\}")


def sequence_names(paths: Sequence[Path], form: str | None) -> list[str]:
    """A name for each path.

    Args:
        paths: Files and folders.
        form: Name, in which `{stem}` is the name of the file without its suffix, or of the folder, and
            `{parent}` that of the folder that contains it. None: `{stem}`.

    Raises:
        click.UsageError: Paths have the same name, or a path has none.

    Example:
        >>> sequence_names([Path("day 1/log_3.ulg"), Path("mh_01/")], None)
        ['log_3', 'mh_01']
        >>> sequence_names([Path("day 1/log.ulg"), Path("day 2/log.ulg")], "{parent}-{stem}")
        ['day-1-log', 'day-2-log']
    """
    names: dict[str, Path] = {}
    for path in paths:
        name = _name(path, "{stem}" if form is None else form)
        if name in names:
            raise click.UsageError(
                f"{names[name]} and {path} are both named `{name}`; "
                "give --name with {stem} and {parent}, such as '{parent}-{stem}'"
            )
        names[name] = path
    return list(names)


def _name(path: Path, form: str) -> str:
    if not _PLACEHOLDER.search(form):
        return form  # the user's own: the client refuses it if it is not allowed
    whole = path.resolve()
    parts = {
        "stem": whole.stem if whole.is_file() or whole.suffix else whole.name,
        "parent": whole.parent.name,
    }
    text = _PLACEHOLDER.sub(lambda found: parts[found[1]], form)
    name = _REFUSED.sub("-", text).strip("-_")
    if not name:
        raise click.UsageError(f"{path} gives no name; give --name")
    return name
