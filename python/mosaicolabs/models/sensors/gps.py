"""Satellite navigation."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.data.geometry import Point3d, Vector3d
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class GPSStatus(Serializable, HeaderMixin):
    """State of a receiver.

    Attributes:
        status: Fix code: -1 no fix, 0 fix, 1 with satellite, 2 with ground-based augmentation.
        service: Systems used, a mask: 1 GPS, 2 GLONASS, 4 COMPASS, 8 GALILEO.
        satellites: Number of satellites used. None: unknown.
        hdop: Horizontal dilution of precision. None: unknown.
        vdop: Vertical dilution of precision. None: unknown.

    Source: codes follow ROS `sensor_msgs/NavSatStatus`; other codes are stored unchanged.

    Example:
        >>> GPSStatus(status=0, service=1, satellites=9).satellites
        9
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("status", pa.int8(), "Fix code.", required=True),
            column("service", pa.uint16(), "Mask of the systems used.", required=True),
            column("satellites", pa.int8(), "Number of satellites used."),
            column("hdop", pa.float64(), "Horizontal dilution of precision."),
            column("vdop", pa.float64(), "Vertical dilution of precision."),
        ]
    )

    status: int
    service: int
    satellites: int | None = None
    hdop: float | None = None
    vdop: float | None = None


class GPS(Serializable, HeaderMixin):
    """A position fix on the WGS 84 ellipsoid.

    Attributes:
        position: x latitude and y longitude, degrees; z height above the ellipsoid, m.
        velocity: x north, y east, z up, m/s. None: not measured.
        status: State of the receiver. None: unknown.

    Source: latitude, longitude and altitude follow ROS `sensor_msgs/NavSatFix`.

    Example:
        >>> GPS(position=Point3d(x=45.07, y=7.69, z=240.0)).position.y
        7.69
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column(
                "position",
                Point3d.__msco_pyarrow_struct__,
                "WGS 84: x latitude, y longitude, degrees; z height, m.",
                required=True,
            ),
            column("velocity", Vector3d.__msco_pyarrow_struct__, "x north, y east, z up, m/s."),
            column("status", GPSStatus.__msco_pyarrow_struct__, "State of the receiver."),
        ]
    )

    position: Point3d
    velocity: Vector3d | None = None
    status: GPSStatus | None = None


class NMEASentence(Serializable, HeaderMixin):
    """One sentence of a receiver, unchanged.

    Attributes:
        sentence: ASCII text from `$` to the checksum.

    Source: NMEA 0183.

    Example:
        >>> NMEASentence(sentence="$GPGLL,4504.2,N,00741.4,E,120000,A*28").ontology_tag()
        'nmea_sentence'
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [column("sentence", pa.string(), "NMEA 0183 sentence.", required=True)]
    )

    sentence: str
