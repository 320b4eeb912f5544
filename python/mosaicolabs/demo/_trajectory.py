"""A smooth flight in closed form: a multirotor flies a figure of eight; all sensors see the same motion.

World: east, north, up, metres, origin at the take-off point. Body: x forward, y left, z up.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GRAVITY = np.array([0.0, 0.0, -9.80665])

# Per axis: amplitude in m, angular frequency in rad/s. East twice as slow as north makes the eight.
_AMPLITUDE = np.array([25.0, 12.0, 4.0])
_FREQUENCY = 2.0 * np.pi / np.array([20.0, 10.0, 16.0])
_CENTRE = np.array([0.0, 0.0, 30.0])
_HEADING_AMPLITUDE, _HEADING_FREQUENCY = 0.5, 2.0 * np.pi / 30.0
# Air drag per mass, 1/s: without it an accelerometer on a multirotor would measure no lateral force.
_DRAG = 0.15
_STEP_S = 1e-4


@dataclass(frozen=True)
class Motion:
    """State at given times, one row each; the last two in the body frame, the others in the world frame."""

    position: Floats
    velocity: Floats
    quaternion: Floats
    angular_velocity: Floats
    specific_force: Floats


def motion_at(seconds: Floats) -> Motion:
    """Evaluates the flight at times in s since its start; `quaternion` is world_from_body, x y z w."""
    world_from_body = _rotation(seconds)
    body_from_world = world_from_body.transpose(0, 2, 1)
    return Motion(
        position=_CENTRE + _derivative(seconds, 0),
        velocity=_derivative(seconds, 1),
        quaternion=_quaternion(world_from_body),
        angular_velocity=_angular_velocity(seconds, body_from_world),
        specific_force=np.einsum("nij,nj->ni", body_from_world, _derivative(seconds, 2) - GRAVITY),
    )


def _derivative(seconds: Floats, order: int) -> Floats:
    phase = np.multiply.outer(seconds, _FREQUENCY) + order * np.pi / 2.0
    return np.asarray(_AMPLITUDE * _FREQUENCY**order * np.sin(phase))


def _rotation(seconds: Floats) -> Floats:
    """Thrust along body z carries the weight, the acceleration and the drag; the heading swings slowly."""
    thrust = _derivative(seconds, 2) - GRAVITY + _DRAG * _derivative(seconds, 1)
    up = thrust / np.linalg.norm(thrust, axis=1, keepdims=True)
    heading = _HEADING_AMPLITUDE * np.sin(_HEADING_FREQUENCY * seconds)
    ahead = np.column_stack([np.cos(heading), np.sin(heading), np.zeros_like(heading)])
    left = np.cross(up, ahead)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return np.stack([np.cross(left, up), left, up], axis=2)


def _angular_velocity(seconds: Floats, body_from_world: Floats) -> Floats:
    rate = (_rotation(seconds + _STEP_S) - _rotation(seconds - _STEP_S)) / (2.0 * _STEP_S)
    skew = body_from_world @ rate
    return np.column_stack(
        [
            (skew[:, 2, 1] - skew[:, 1, 2]) / 2.0,
            (skew[:, 0, 2] - skew[:, 2, 0]) / 2.0,
            (skew[:, 1, 0] - skew[:, 0, 1]) / 2.0,
        ]
    )


def _quaternion(rotation: Floats) -> Floats:
    # Tilt and heading stay well below 90 degrees, so w is far from zero and this form is exact enough.
    w = np.sqrt(1.0 + np.trace(rotation, axis1=1, axis2=2)) / 2.0
    x = (rotation[:, 2, 1] - rotation[:, 1, 2]) / (4.0 * w)
    y = (rotation[:, 0, 2] - rotation[:, 2, 0]) / (4.0 * w)
    z = (rotation[:, 1, 0] - rotation[:, 0, 1]) / (4.0 * w)
    return np.column_stack([x, y, z, w])
