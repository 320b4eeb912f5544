"""Common parts of point clouds: one list per value, with one item per point."""

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.base_model import BaseModel

FLOAT, OCTET, WORD = pa.list_(pa.float32()), pa.list_(pa.uint8()), pa.list_(pa.uint16())


def points(*more: pa.Field) -> pa.StructType:
    """The struct of a cloud: coordinates, and further values of each point."""
    axes = [column(axis, FLOAT, f"Coordinates along {axis}, m.", required=True) for axis in "xyz"]
    return pa.struct([*axes, *more])


class Points(BaseModel):
    """Coordinates of points."""

    x: list[float]
    y: list[float]
    z: list[float]
