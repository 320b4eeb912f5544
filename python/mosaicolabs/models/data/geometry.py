"""Vectors, points, rotations, transforms and poses.

Components are nullable columns, but the models require them: a null component is refused when the message is
created.
"""

from typing import ClassVar

import pyarrow as pa
from typing_extensions import Self

from mosaicolabs.models._arrow import column
from mosaicolabs.models.base_model import BaseModel
from mosaicolabs.models.mixins import CovarianceMixin, HeaderMixin
from mosaicolabs.models.serializable import Serializable


def _components(*names: str) -> pa.StructType:
    return pa.struct([column(name, pa.float64(), f"Component {name}.") for name in names])


def _by_name(cls: type[BaseModel], names: str, data: list[float]) -> dict[str, float]:
    if len(data) != len(names):
        raise ValueError(f"{cls.__name__} needs {len(names)} values ({', '.join(names)}), got {len(data)}")
    return dict(zip(names, data, strict=True))


class _Vector2dStruct(BaseModel):
    """Components x y."""

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _components("x", "y")

    x: float
    y: float

    @classmethod
    def from_list(cls, data: list[float]) -> Self:
        """An instance with the components x y taken from a list of 2.

        Raises:
            ValueError: The list has another length.
        """
        return cls(**_by_name(cls, "xy", data))


class _Vector3dStruct(BaseModel):
    """Components x y z."""

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _components("x", "y", "z")

    x: float
    y: float
    z: float

    @classmethod
    def from_list(cls, data: list[float]) -> Self:
        """An instance with the components x y z taken from a list of 3.

        Raises:
            ValueError: The list has another length.
        """
        return cls(**_by_name(cls, "xyz", data))


class _Vector4dStruct(BaseModel):
    """Components x y z w."""

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _components("x", "y", "z", "w")

    x: float
    y: float
    z: float
    w: float

    @classmethod
    def from_list(cls, data: list[float]) -> Self:
        """An instance with the components x y z w taken from a list of 4.

        Raises:
            ValueError: The list has another length.
        """
        return cls(**_by_name(cls, "xyzw", data))


class Vector2d(_Vector2dStruct, Serializable, HeaderMixin, CovarianceMixin):
    """A free vector in the plane; the unit is that of its quantity.

    Attributes:
        x, y: Components along the axes of the frame.

    Example:
        >>> Vector2d.from_list([3, 4]).y
        4.0
    """


class Vector3d(_Vector3dStruct, Serializable, HeaderMixin, CovarianceMixin):
    """A free vector in space; the unit is that of its quantity.

    Attributes:
        x, y, z: Components along the axes of the frame.

    Example:
        >>> Vector3d(x=0, y=0, z=9.81).z
        9.81
    """


class Vector4d(_Vector4dStruct, Serializable, HeaderMixin, CovarianceMixin):
    """Four components.

    Attributes:
        x, y, z, w: Components.
    """


class Point2d(_Vector2dStruct, Serializable, HeaderMixin, CovarianceMixin):
    """A position in the plane.

    Attributes:
        x, y: Coordinates, m unless documented otherwise.
    """


class Point3d(_Vector3dStruct, Serializable, HeaderMixin, CovarianceMixin):
    """A position in space.

    Attributes:
        x, y, z: Coordinates, m unless documented otherwise.
    """


class Quaternion(_Vector4dStruct, Serializable, HeaderMixin, CovarianceMixin):
    """A rotation, Hamilton convention, scalar last.

    Attributes:
        x, y, z: Vector part.
        w: Scalar part. Unit length is expected and not checked.

    Source: order follows ROS `geometry_msgs/Quaternion`.

    Example:
        >>> Quaternion(x=0, y=0, z=0, w=1).w
        1.0
    """


class Transform(Serializable, HeaderMixin, CovarianceMixin):
    """The pose of a target frame in a source frame: `source_from_target`.

    Attributes:
        translation: Origin of the target in the source frame, m.
        rotation: Rotation of vectors from the target frame into the source frame.
        target_frame_id: Name of the target frame. The source is `header.frame_id`.

    Source: meanings follow ROS `geometry_msgs/TransformStamped`.

    Example:
        >>> mast = Transform(
        ...     translation=Vector3d(x=0, y=0, z=1.2),
        ...     rotation=Quaternion(x=0, y=0, z=0, w=1),
        ...     target_frame_id="mast",
        ... )
        >>> mast.translation.z
        1.2
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("translation", Vector3d.__msco_pyarrow_struct__, "Translation, m.", required=True),
            column(
                "rotation", Quaternion.__msco_pyarrow_struct__, "Rotation, unit quaternion.", required=True
            ),
            column("target_frame_id", pa.string(), "Name of the target frame."),
        ]
    )

    translation: Vector3d
    rotation: Quaternion
    target_frame_id: str | None = None


class Pose(Serializable, HeaderMixin, CovarianceMixin):
    """Position and orientation of a body in the frame of the header.

    Attributes:
        position: m.
        orientation: Rotation of vectors from the body frame into the frame of the header.
        covariance: Of x, y, z and the rotations about these axes: 36 values, m^2 and rad^2.

    Source: meanings follow ROS `geometry_msgs/Pose`.

    Example:
        >>> pose = Pose(position=Point3d(x=1, y=2, z=3), orientation=Quaternion(x=0, y=0, z=0, w=1))
        >>> pose.position.x
        1.0
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("position", Point3d.__msco_pyarrow_struct__, "Position, m.", required=True),
            column(
                "orientation",
                Quaternion.__msco_pyarrow_struct__,
                "Orientation, unit quaternion.",
                required=True,
            ),
        ]
    )

    position: Point3d
    orientation: Quaternion
