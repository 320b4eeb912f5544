"""Magnetic sensors."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.data.geometry import Vector3d
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class Magnetometer(Serializable, HeaderMixin):
    """The magnetic field in the sensor frame.

    Attributes:
        magnetic_field: x y z, microtesla.

    Example:
        >>> Magnetometer(magnetic_field=Vector3d(x=22.0, y=0.5, z=-41.0)).magnetic_field.x
        22.0
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column(
                "magnetic_field",
                Vector3d.__msco_pyarrow_struct__,
                "Magnetic field, microtesla.",
                required=True,
            )
        ]
    )

    magnetic_field: Vector3d
