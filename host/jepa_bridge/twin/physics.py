"""The robot's body in an arena, simulated by MuJoCo: wheels that roll and slip, walls that stop it, eight ranges.

    physics = Physics(make_arena("open", seed=3))
    physics.set_wheels(1.0, 1.0)
    physics.advance(0.2)
    physics.true_pose, physics.ranges_m(), physics.encoder_ticks

The body is a sphere to the walls and the wheels are spheres to the floor: each touches in exactly one point, at the
robot's radius and at its track, and both pairs are MuJoCo's cheapest collisions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jepa_bridge.errors import missing_extra
from jepa_bridge.twin import robot
from jepa_bridge.twin.randomise import Randomisation
from jepa_bridge.types import RANGE_BEARINGS_RAD

try:
    import mujoco
except ImportError as error:
    raise missing_extra("mujoco", "sim") from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jepa_bridge.twin.arena import Arena, Pose

TIMESTEP_S = 0.005
OUTPUT_MAX = 1.25  # the wire allows 80 units of 100; a calibrated gain may ask for the rest
_OBSTACLE_GROUP = 0  # geom groups: the rays see this one only
_ROBOT_GROUP = 1
_FLOOR_GROUP = 2
_RAYS_SEE = np.array([group == _OBSTACLE_GROUP for group in range(6)], dtype=np.uint8)
_WALL_HEIGHT_M = 0.3


class Physics:
    """One robot in one arena. Equal arguments and equal calls give equal numbers, bit for bit."""

    def __init__(self, arena: Arena, *, randomisation: Randomisation | None = None, seed: int = 0) -> None:
        self.arena = arena
        self.randomisation = randomisation or Randomisation()
        self._rng = np.random.default_rng(seed)
        self._model = mujoco.MjModel.from_xml_string(_mjcf(arena, self.randomisation))
        self._data = mujoco.MjData(self._model)
        self._shell_geom = self._model.geom("shell").id
        self._ray_geoms = np.empty(len(RANGE_BEARINGS_RAD), dtype=np.int32)
        self._ray_m = np.empty(len(RANGE_BEARINGS_RAD))
        self._bearings_rad = np.array(RANGE_BEARINGS_RAD)
        self._steps = 0
        self._time_s = 0.0
        self.reset()

    def reset(self, pose: Pose | None = None) -> None:
        """Put the robot at a pose (the arena's start if none), at rest, with encoders and time at zero."""
        x_m, y_m, heading_rad = pose or self.arena.start_pose
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:7] = x_m, y_m, 0.0, math.cos(heading_rad / 2), 0.0, 0.0, math.sin(heading_rad / 2)
        mujoco.mj_forward(self._model, self._data)
        self._steps = 0
        self._time_s = 0.0

    def set_wheels(self, left: float, right: float) -> None:
        """Motor outputs, held until changed; 1 is full speed forward, 1.25 full voltage."""
        full_rad_s = robot.WHEEL_SPEED_MAX_M_S / robot.WHEEL_RADIUS_M
        spread = self.randomisation
        self._data.ctrl[0] = _turned(left, spread.left_dead, spread.left_motor_sign) * full_rad_s * spread.left_gain
        self._data.ctrl[1] = _turned(right, spread.right_dead, spread.right_motor_sign) * full_rad_s * spread.right_gain

    def advance(self, duration_s: float) -> None:
        """Simulate; what is less than a timestep is kept for the next call."""
        self._time_s += duration_s
        steps = round(self._time_s / TIMESTEP_S) - self._steps
        if steps > 0:
            mujoco.mj_step(self._model, self._data, nstep=steps)
            self._steps += steps

    @property
    def time_s(self) -> float:
        """Simulated seconds since the reset."""
        return self._steps * TIMESTEP_S

    @property
    def true_pose(self) -> Pose:
        """Where the robot really is: x m, y m, heading rad in (-pi, pi]."""
        x, y, _, qw, qx, qy, qz = self._data.qpos[:7].tolist()
        return x, y, math.atan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))

    @property
    def encoder_ticks(self) -> tuple[int, int]:
        """Left, right: whole ticks counted since the reset, forward positive."""
        left_rad, right_rad = self._data.qpos[7:9].tolist()
        ticks_per_rad = robot.WHEEL_RADIUS_M * robot.TICKS_PER_METRE
        spread = self.randomisation
        # rounded, not floored: a reset robot stands in the middle of a tick, so its settling does not flicker
        return (
            spread.left_encoder_sign * round(left_rad * ticks_per_rad * spread.left_tick_scale),
            spread.right_encoder_sign * round(right_rad * ticks_per_rad * spread.right_tick_scale),
        )

    @property
    def wheel_speeds_m_s(self) -> tuple[float, float]:
        """Left, right: speed of the wheel's rim, whether it rolls or slips."""
        left_rad_s, right_rad_s = self._data.qvel[6:8].tolist()
        return left_rad_s * robot.WHEEL_RADIUS_M, right_rad_s * robot.WHEEL_RADIUS_M

    @property
    def in_contact(self) -> bool:
        """Whether the shell touches a wall or a cylinder; the floor does not count."""
        return bool((self._data.contact.geom == self._shell_geom).any())

    def ranges_m(self) -> NDArray[np.float64]:
        """[8] metres from the rim, in the order of RANGE_NAMES; 2.0: nothing within reach, NaN: no reading."""
        x_m, y_m, heading_rad = self.true_pose
        origin = np.array([x_m, y_m, robot.SENSOR_HEIGHT_M])
        angles = self._bearings_rad + heading_rad
        rays = np.zeros((len(angles), 3))
        rays[:, 0] = np.cos(angles)
        rays[:, 1] = np.sin(angles)
        reach_m = robot.BODY_RADIUS_M + robot.RANGE_MAX_M
        mujoco.mj_multiRay(
            self._model,
            self._data,
            origin,
            rays.reshape(-1),
            _RAYS_SEE,
            True,  # static geoms too: all obstacles are
            -1,
            self._ray_geoms,
            self._ray_m,
            None,
            len(angles),
            reach_m,
        )
        ranges = np.where(self._ray_geoms < 0, robot.RANGE_MAX_M, self._ray_m - robot.BODY_RADIUS_M)
        spread = self.randomisation
        # "nothing within reach" is no measurement, so it is neither scaled nor noisy
        ranges = np.where(ranges < robot.RANGE_MAX_M, ranges * spread.range_scale, ranges)
        if any(spread.range_offsets_m):
            ranges = np.where(ranges < robot.RANGE_MAX_M, ranges + spread.range_offsets_m, ranges)
        if spread.range_noise_m:
            noise_m = self._rng.normal(0.0, spread.range_noise_m, len(ranges))
            ranges = np.where(ranges < robot.RANGE_MAX_M, ranges + noise_m, ranges)
        ranges = np.clip(ranges, 0.0, robot.RANGE_MAX_M)
        if spread.range_dropout:
            ranges[self._rng.random(len(ranges)) < spread.range_dropout] = np.nan
        return ranges


def _turned(output: float, dead: float, sign: int) -> float:
    """What a motor makes of its output: nothing below its dead zone, as a share of full voltage."""
    output = sign * min(max(output, -OUTPUT_MAX), OUTPUT_MAX)
    if not dead:
        return output
    return math.copysign(max(0.0, abs(output) - dead * OUTPUT_MAX), output)


def _mjcf(arena: Arena, spread: Randomisation) -> str:
    """The model as MJCF text. Collision masks: wheels and caster meet the floor, the shell meets obstacles."""
    r = robot
    obstacles = [
        f'<geom type="box" pos="{(w.x_min_m + w.x_max_m) / 2} {(w.y_min_m + w.y_max_m) / 2} {_WALL_HEIGHT_M / 2}" '
        f'size="{(w.x_max_m - w.x_min_m) / 2} {(w.y_max_m - w.y_min_m) / 2} {_WALL_HEIGHT_M / 2}" class="obstacle"/>'
        for w in arena.walls
    ] + [
        f'<geom type="cylinder" pos="{c.x_m} {c.y_m} {_WALL_HEIGHT_M / 2}" '
        f'size="{c.radius_m} {_WALL_HEIGHT_M / 2}" class="obstacle"/>'
        for c in arena.cylinders
    ]
    # a DC motor's torque falls linearly with its speed; this slope gives half of the robot the wanted lag
    wheel_inertia = 0.4 * r.WHEEL_MASS_KG * r.WHEEL_RADIUS_M**2
    slope = (r.MASS_KG / 2 * r.WHEEL_RADIUS_M**2 + wheel_inertia) / spread.motor_lag_s  # N m s / rad
    body_inertia_z = 0.5 * r.BODY_MASS_KG * r.BODY_RADIUS_M**2
    body_inertia_x = body_inertia_z / 2 + r.BODY_MASS_KG * (2 * r.CENTRE_OF_MASS_Z_M) ** 2 / 12
    wheels = "".join(
        f'<body pos="0 {y_m} {r.WHEEL_RADIUS_M}"><joint name="{side}" type="hinge" axis="0 1 0"/>'
        f'<geom type="sphere" size="{r.WHEEL_RADIUS_M}" mass="{r.WHEEL_MASS_KG}" class="wheel"/></body>'
        for side, y_m in (("left", spread.track_m / 2), ("right", -spread.track_m / 2))
    )
    motors = "".join(f'<velocity joint="{side}" kv="{slope}"/>' for side in ("left", "right"))
    caster_radius_m = r.WHEEL_RADIUS_M / 2
    # the pyramidal cone: with the elliptic one and contacts this stiff the solver diverged at 5 ms
    return f"""
<mujoco model="jepa-bridge twin">
  <option timestep="{TIMESTEP_S}" integrator="implicitfast" cone="pyramidal"/>
  <default>
    <default class="obstacle">
      <geom group="{_OBSTACLE_GROUP}" contype="0" conaffinity="2" friction="{r.BODY_FRICTION} 0 0"/>
    </default>
    <default class="wheel">
      <geom group="{_ROBOT_GROUP}" contype="0" conaffinity="1" condim="3" friction="{spread.grip} 0 0"
            solref="0.01 1" solimp="0.99 0.999 0.0001"/>
    </default>
  </default>
  <worldbody>
    <geom name="floor" type="plane" size="{arena.size_m[0]} {arena.size_m[1]} 0.1" group="{_FLOOR_GROUP}"
          contype="1" conaffinity="0" condim="1" friction="0 0 0" solref="0.01 1" solimp="0.99 0.999 0.0001"/>
    {"".join(obstacles)}
    <body name="robot">
      <freejoint/>
      <inertial pos="{r.CENTRE_OF_MASS_X_M} 0 {r.CENTRE_OF_MASS_Z_M}" mass="{r.BODY_MASS_KG}"
                diaginertia="{body_inertia_x} {body_inertia_x} {body_inertia_z}"/>
      <geom name="shell" type="sphere" pos="0 0 {r.SENSOR_HEIGHT_M}" size="{r.BODY_RADIUS_M}" group="{_ROBOT_GROUP}"
            contype="2" conaffinity="0" friction="{r.BODY_FRICTION} 0 0"/>
      <geom name="caster" type="sphere" pos="{r.CASTER_X_M} 0 {caster_radius_m}" size="{caster_radius_m}"
            group="{_ROBOT_GROUP}" contype="0" conaffinity="1" condim="1" friction="0 0 0"/>
      {wheels}
    </body>
  </worldbody>
  <actuator>{motors}</actuator>
</mujoco>
"""
