"""Kinds of payload, a storage hint of each topic."""

from mosaicolabs.enum._str_enum import StrEnum


class SerializationFormat(StrEnum):
    """Shape of the rows of a topic."""

    Default = "default"
    """Small rows of about equal size."""

    Ragged = "ragged"
    """Rows whose lists vary in length, e.g. point clouds."""

    Image = "image"
    """Few large binary rows."""
