"""Finds writers; those of this and of other packages are registered as entry points."""

from mosaicolabs.helpers.plugins import PluginGroup

from ._errors import ExportError
from ._writer_api import Writer

WRITERS_GROUP = "mosaicolabs.writers"

WRITERS: PluginGroup[Writer] = PluginGroup(
    group=WRITERS_GROUP,
    kind="writer",
    interface=Writer,
    members="name, description or plan",
    error=ExportError,
    choose="--to",
)


def writer_names() -> list[str]:
    """Names of all installed writers."""
    return WRITERS.names()


def load_writer(name: str) -> Writer:
    """The writer registered under `name`.

    Raises:
        ExportError: The writer does not exist, or its package cannot be imported.
    """
    return WRITERS.load(name)
