"""Forces."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.data.geometry import Vector3d
from mosaicolabs.models.mixins import CovarianceMixin, HeaderMixin
from mosaicolabs.models.serializable import Serializable


class ForceTorque(Serializable, HeaderMixin, CovarianceMixin):
    """A wrench in the frame of the header.

    Attributes:
        force: x y z, N.
        torque: About x y z, N*m.

    Source: meanings follow ROS `geometry_msgs/Wrench`.

    Example:
        >>> wrench = ForceTorque(force=Vector3d(x=0, y=0, z=-9.81), torque=Vector3d(x=0, y=0, z=0))
        >>> wrench.force.z
        -9.81
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("force", Vector3d.__msco_pyarrow_struct__, "Force, N.", required=True),
            column("torque", Vector3d.__msco_pyarrow_struct__, "Torque, N*m.", required=True),
        ]
    )

    force: Vector3d
    torque: Vector3d
