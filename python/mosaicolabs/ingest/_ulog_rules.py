"""The table that maps ULog topics to ontologies, with conversions of units and axes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mosaicolabs.models import Serializable
from mosaicolabs.models.data import (
    Acceleration,
    Floating64,
    MotionState,
    Point3d,
    Pose,
    Quaternion,
    Vector3d,
    Velocity,
)
from mosaicolabs.models.sensors import GPS, IMU, GPSStatus, Magnetometer, Pressure, Temperature

Columns = Mapping[str, npt.NDArray[Any]]
RowBuilder = Callable[[int], Serializable]

_MICROTESLA_PER_GAUSS = 100.0
_PASCAL_PER_HECTOPASCAL = 100.0
# Barometers measure 10 to 1200 hPa: a smaller number can only be in hectopascal.
_LOWEST_PASCAL = 2000.0
_DIAGONAL_KNOWN = 2  # of ROS NavSatFix
# More are none: the column has 8 bits with a sign.
_MOST_SATELLITES = 127

BODY = {"frame_id": "body_frd", "axes": "forward right down"}
WORLD = {"frame_id": "ned", "axes": "north east down"}


@dataclass(frozen=True)
class Rule:
    """One topic made of a ULog topic.

    Attributes:
        sources: ULog topics that the rule applies to.
        part: Last element of the topic's name; one ULog topic may have several parts.
        ontology: Class of the messages.
        needs: Columns that must exist; of the rules of a part, the first one whose columns exist applies.
        build: Maps the columns to a function from row index to ontology object.
        metadata: User metadata of the topic.
        also: Columns used if they exist.
        offset: Column with the time of the sample relative to that of the row, us.
        flags: Columns with the validity of a row; the topic metadata counts the valid rows.
    """

    sources: tuple[str, ...]
    part: str
    ontology: type[Serializable]
    needs: tuple[str, ...]
    build: Callable[[Columns], RowBuilder]
    metadata: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    offset: str | None = None
    flags: tuple[str, ...] = ()

    def columns(self, available: Columns) -> list[str]:
        """The columns that the rule uses of a ULog topic with the columns `available`."""
        optional = [name for name in (*self.also, *self.flags, self.offset) if name is not None]
        return [*self.needs, *(name for name in optional if name in available)]


def xyz(name: str) -> tuple[str, str, str]:
    return f"{name}[0]", f"{name}[1]", f"{name}[2]"


def _row(columns: Columns, names: tuple[str, ...], scale: float = 1.0) -> Callable[[int], list[float]]:
    # `item` returns a Python float that equals the stored float32 exactly.
    picked = [columns[name] for name in names]
    return lambda i: [scale * column.item(i) for column in picked]


def _vector(names: tuple[str, ...], make: Callable[[list[float]], Serializable], scale: float = 1.0) -> Any:
    def build(columns: Columns) -> RowBuilder:
        row = _row(columns, names, scale)
        return lambda i: make(row(i))

    return build


def _scalar(name: str, make: Callable[[float], Serializable]) -> Any:
    return lambda columns: lambda i: make(float(columns[name].item(i)))


def _quaternion(columns: Columns) -> Callable[[int], Quaternion]:
    row = _row(columns, _Q)

    def build(i: int) -> Quaternion:
        w, x, y, z = row(i)
        return Quaternion(x=x, y=y, z=z, w=w)

    return build


def _imu(gyro: tuple[str, ...], accelerometer: tuple[str, ...]) -> Any:
    def build(columns: Columns) -> RowBuilder:
        rates, forces = _row(columns, gyro), _row(columns, accelerometer)
        return lambda i: IMU(
            acceleration=Vector3d.from_list(forces(i)), angular_velocity=Vector3d.from_list(rates(i))
        )

    return build


def _pressure(columns: Columns) -> RowBuilder:
    values = columns["pressure"]
    scale = _PASCAL_PER_HECTOPASCAL if float(np.nanmedian(values)) < _LOWEST_PASCAL else 1.0
    return lambda i: Pressure(value=scale * values.item(i))


def _gps_status(columns: Columns, i: int) -> GPSStatus:
    def optional(name: str) -> float | None:
        return float(columns[name].item(i)) if name in columns else None

    satellites = optional("satellites_used")
    if satellites is not None and satellites > _MOST_SATELLITES:  # 255: not known
        satellites = None
    return GPSStatus(
        status=_ros_fix(columns["fix_type"].item(i)),
        service=0,
        satellites=None if satellites is None else int(satellites),
        hdop=optional("hdop"),
        vdop=optional("vdop"),
    )


def _ros_fix(fix_type: int) -> int:
    """PX4: 0-1 none, 2 2D, 3 3D, 4 differential, 5-6 RTK, 8 extrapolated. ROS: -1 none, 0 fix, 1-2 better."""
    if fix_type < 2:
        return -1
    return {4: 1, 5: 2, 6: 2}.get(fix_type, 0)


def _gps(latitude: str, longitude: str, altitude: str, degrees: float, metres: float) -> Any:
    """`degrees`, `metres`: units of the log per degree and metre. Division keeps decimal values exact."""

    def build(columns: Columns) -> RowBuilder:
        velocity = _row(columns, ("vel_n_m_s", "vel_e_m_s", "vel_d_m_s"))
        accuracy = _row(columns, ("eph", "epv"))

        def row(i: int) -> GPS:
            north, east, down = velocity(i)
            horizontal, vertical = (value * value for value in accuracy(i))
            return GPS(
                position=Point3d(
                    x=columns[latitude].item(i) / degrees,
                    y=columns[longitude].item(i) / degrees,
                    z=columns[altitude].item(i) / metres,
                    covariance=[horizontal, 0.0, 0.0, 0.0, horizontal, 0.0, 0.0, 0.0, vertical],
                    covariance_type=_DIAGONAL_KNOWN,
                ),
                velocity=Vector3d(x=north, y=east, z=-down),
                status=_gps_status(columns, i),
            )

        return row

    return build


def _odometry(position: tuple[str, ...], velocity: tuple[str, ...], rates: tuple[str, ...]) -> Any:
    def build(columns: Columns) -> RowBuilder:
        where, speed, turn, attitude = (
            _row(columns, position),
            _row(columns, velocity),
            _row(columns, rates),
            _quaternion(columns),
        )
        return lambda i: MotionState(
            pose=Pose(position=Point3d.from_list(where(i)), orientation=attitude(i)),
            velocity=Velocity(linear=Vector3d.from_list(speed(i)), angular=Vector3d.from_list(turn(i))),
            target_frame_id="body_frd",
        )

    return build


def _linear(values: list[float]) -> Velocity:
    return Velocity(linear=Vector3d.from_list(values))


def _angular(values: list[float]) -> Velocity:
    return Velocity(angular=Vector3d.from_list(values))


def _acceleration(values: list[float]) -> Acceleration:
    return Acceleration(linear=Vector3d.from_list(values))


def _magnetometer(values: list[float]) -> Magnetometer:
    return Magnetometer(magnetic_field=Vector3d.from_list(values))


def _metres(value: float) -> Floating64:
    return Floating64(data=value)


def _celsius(value: float) -> Temperature:
    return Temperature.from_celsius(value=value)


_Q = ("q[0]", "q[1]", "q[2]", "q[3]")
_XYZ = ("x", "y", "z")
_ATTITUDE = ("vehicle_attitude", "vehicle_attitude_groundtruth")
_LOCAL = ("vehicle_local_position", "vehicle_local_position_groundtruth")
_GPS = ("vehicle_gps_position", "sensor_gps")
_ODOMETRY = ("vehicle_odometry", "vehicle_visual_odometry")
_GPS_VELOCITY = ("vel_n_m_s", "vel_e_m_s", "vel_d_m_s", "eph", "epv", "fix_type")
_GPS_EXTRA = ("satellites_used", "hdop", "vdop")
_METRES = {"quantity": "barometric altitude", "unit": "m"}
_BARO = "baro_timestamp_relative"
_E7, _MM = 1e7, 1e3


def _gps_rule(position: tuple[str, str, str], degrees: float, metres: float, altitude: str) -> Rule:
    return Rule(
        _GPS,
        "gps",
        GPS,
        (*position, *_GPS_VELOCITY),
        _gps(*position, degrees, metres),
        {"altitude": altitude, "velocity": "north east up", "status": "ROS NavSatStatus, from PX4 fix_type"},
        also=_GPS_EXTRA,
    )


def _mag_rule(source: str, columns: tuple[str, str, str], offset: str | None = None) -> Rule:
    build = _vector(columns, _magnetometer, _MICROTESLA_PER_GAUSS)
    return Rule((source,), "magnetometer", Magnetometer, columns, build, BODY, offset=offset)


def _scalar_rule(
    source: str,
    part: str,
    ontology: type[Serializable],
    column: str,
    make: Callable[[float], Serializable],
    metadata: Mapping[str, str] | None = None,
    offset: str | None = None,
) -> Rule:
    return Rule((source,), part, ontology, (column,), _scalar(column, make), metadata or {}, offset=offset)


_GYRO, _ACCELEROMETER = xyz("gyro_rad"), xyz("accelerometer_m_s2")

RULES: tuple[Rule, ...] = (
    Rule(("sensor_combined",), "imu", IMU, (*_GYRO, *_ACCELEROMETER), _imu(_GYRO, _ACCELEROMETER), BODY),
    _mag_rule("sensor_combined", xyz("magnetometer_ga"), "magnetometer_timestamp_relative"),
    _scalar_rule("sensor_combined", "baro_altitude", Floating64, "baro_alt_meter", _metres, _METRES, _BARO),
    _scalar_rule(
        "sensor_combined", "baro_temperature", Temperature, "baro_temp_celcius", _celsius, None, _BARO
    ),
    Rule(
        ("sensor_accel",),
        "imu",
        IMU,
        _XYZ,
        _vector(_XYZ, lambda v: IMU(acceleration=Vector3d.from_list(v))),
        BODY,
    ),
    Rule(("sensor_gyro",), "angular_velocity", Velocity, _XYZ, _vector(_XYZ, _angular), BODY),
    _mag_rule("sensor_mag", _XYZ),
    _mag_rule("vehicle_magnetometer", xyz("magnetometer_ga")),
    Rule(("sensor_baro",), "pressure", Pressure, ("pressure",), _pressure),
    _scalar_rule("sensor_baro", "temperature", Temperature, "temperature", _celsius),
    _scalar_rule(
        "vehicle_air_data", "pressure", Pressure, "baro_pressure_pa", lambda value: Pressure(value=value)
    ),
    _scalar_rule("vehicle_air_data", "temperature", Temperature, "baro_temp_celcius", _celsius),
    _scalar_rule("vehicle_air_data", "temperature", Temperature, "ambient_temperature", _celsius),
    _scalar_rule("vehicle_air_data", "altitude", Floating64, "baro_alt_meter", _metres, _METRES),
    _gps_rule(("latitude_deg", "longitude_deg", "altitude_ellipsoid_m"), 1.0, 1.0, "WGS84 ellipsoid"),
    _gps_rule(("lat", "lon", "alt_ellipsoid"), _E7, _MM, "WGS84 ellipsoid"),
    _gps_rule(("lat", "lon", "alt"), _E7, _MM, "mean sea level"),
    Rule(_ATTITUDE, "orientation", Quaternion, _Q, _quaternion, {**WORLD, "child_frame_id": "body_frd"}),
    Rule(
        _ATTITUDE,
        "angular_velocity",
        Velocity,
        ("rollspeed", "pitchspeed", "yawspeed"),
        _vector(("rollspeed", "pitchspeed", "yawspeed"), _angular),
        BODY,
    ),
    Rule(
        ("vehicle_angular_velocity",),
        "angular_velocity",
        Velocity,
        xyz("xyz"),
        _vector(xyz("xyz"), _angular),
        BODY,
    ),
    Rule(
        ("vehicle_acceleration",),
        "acceleration",
        Acceleration,
        xyz("xyz"),
        _vector(xyz("xyz"), _acceleration),
        BODY,
    ),
    Rule(
        _LOCAL,
        "position",
        Point3d,
        _XYZ,
        _vector(_XYZ, Point3d.from_list),
        WORLD,
        flags=("xy_valid", "z_valid"),
    ),
    Rule(
        _LOCAL,
        "velocity",
        Velocity,
        ("vx", "vy", "vz"),
        _vector(("vx", "vy", "vz"), _linear),
        WORLD,
        flags=("v_xy_valid", "v_z_valid"),
    ),
    Rule(
        _ODOMETRY,
        "state",
        MotionState,
        (*xyz("position"), *_Q, *xyz("velocity"), *xyz("angular_velocity")),
        _odometry(xyz("position"), xyz("velocity"), xyz("angular_velocity")),
        {**WORLD, "note": "the columns pose_frame and velocity_frame of the log may name other frames"},
        flags=(),
    ),
    Rule(
        _ODOMETRY,
        "state",
        MotionState,
        (*_XYZ, *_Q, "vx", "vy", "vz", "rollspeed", "pitchspeed", "yawspeed"),
        _odometry(_XYZ, ("vx", "vy", "vz"), ("rollspeed", "pitchspeed", "yawspeed")),
        WORLD,
    ),
)
