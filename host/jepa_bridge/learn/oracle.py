"""The ceiling: the twin's true dynamics as a world model, so that the same MPPI can plan on them.

    planner = Planner(Oracle(sim), MppiConfig())

A differential drive whose centre of mass lies behind the axle, after Dhaouadi and Abu Hatab, "Dynamic Modelling of
Differential-Drive Mobile Robots using Lagrange and Newton-Euler Methodologies" (2013), with the twin's own masses,
motors and ramp; wheels do not slip. Each substep is solved exactly for a constant motor output (exponential
integration), so that few of them are enough. Obstacles are the arena's, by exact geometry; a body that would enter one
is put back onto its surface and has lost its speed, which is rougher than MuJoCo's sliding and only matters to plans
that are bad already. A test holds it against the twin.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jepa_bridge.twin import robot
from jepa_bridge.twin.arena import GRID_M
from jepa_bridge.types import RANGE_BEARINGS_RAD
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGE_SCALE_M, RANGES

if TYPE_CHECKING:
    import numpy.typing as npt

    from jepa_bridge.twin.arena import Arena
    from jepa_bridge.twin.episode import EpisodeSim
    from jepa_bridge.types import Observation
    from jepa_bridge.world.vector import FloatArray

    Array = npt.NDArray[np.float64]

STEP_S = 0.2
SLICE_S = 0.01  # the ramp moves this often, as in the twin
SLICES = 20  # a step
SUBSTEPS = 5  # a step: with 10, positions after 2 s differ by less than a millimetre
_WHEEL_MASS_KG = 0.4 * robot.WHEEL_MASS_KG  # a rolling sphere's inertia, as mass at its rim
_LEVER_KG_M = robot.BODY_MASS_KG * robot.CENTRE_OF_MASS_X_M  # what couples turning and driving
_INERTIA_KG_M2 = (
    0.5 * robot.BODY_MASS_KG * robot.BODY_RADIUS_M**2
    + robot.BODY_MASS_KG * robot.CENTRE_OF_MASS_X_M**2
    + 2 * (robot.WHEEL_MASS_KG + _WHEEL_MASS_KG) * (robot.TRACK_M / 2) ** 2
)
_BEARINGS_RAD = np.array(RANGE_BEARINGS_RAD)

# columns of an embedding
X, Y, HEADING_RAD, SPEED, TURN, LEFT, RIGHT = range(7)
SIZE = 7


class Oracle:
    """A WorldModel (see world/bundle.py) that looks at the simulator instead of at the observation."""

    embedding_dim = SIZE

    def __init__(self, sim: EpisodeSim) -> None:
        self._physics = sim.physics
        self.geometry = Geometry(sim.arena)
        self._arena = sim.arena
        self._ways: dict[tuple[float, float], Array] = {}
        self.output = (0.0, 0.0)  # of the motors at the end of the step before: the driver keeps it
        spread = sim.physics.randomisation
        self._gains = np.array((spread.left_gain, spread.right_gain)) * robot.WHEEL_SPEED_MAX_M_S
        # a wheel's force per m/s that it is too slow; twin/physics.py chooses the motor's slope for the wanted lag
        wheel_n_s_m = (robot.MASS_KG / 2 + _WHEEL_MASS_KG) / spread.motor_lag_s
        turn_n_m_s = wheel_n_s_m * robot.TRACK_M**2 / 2
        substep_s = STEP_S / SUBSTEPS
        self._keep_speed = math.exp(-substep_s / spread.motor_lag_s)
        self._keep_turn = math.exp(-substep_s * turn_n_m_s / _INERTIA_KG_M2)
        self._pull = _LEVER_KG_M / (2 * wheel_n_s_m)  # m/s per (rad/s)^2
        self._drag = _LEVER_KG_M / turn_n_m_s  # rad/s per (m/s x rad/s)

    def encode(self, vectors: FloatArray) -> FloatArray:
        """[B, 11] -> [B, 7]: at rest at the vector's pose."""
        state = np.zeros((len(vectors), SIZE), np.float32)
        state[:, X : Y + 1] = vectors[:, RANGES : RANGES + 2] * POSITION_SCALE_M
        state[:, HEADING_RAD] = vectors[:, RANGES + 2] * (2.0 * math.pi)
        return state

    def start(self, observation: Observation) -> FloatArray:
        """[1, 7]: the truth."""
        del observation
        left_m_s, right_m_s = self._physics.wheel_speeds_m_s
        speed, turn = (left_m_s + right_m_s) / 2, (right_m_s - left_m_s) / robot.TRACK_M
        return np.array([[*self._physics.true_pose, speed, turn, *self.output]], np.float32)

    def predict(self, embeddings: FloatArray, actions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """[B, 7], [B, 2] -> the states one step later [B, 7], confidence [B, 1], which is one."""
        x, y, heading, speed, turn, *_ = embeddings.T.astype(np.float64)
        before, wanted = embeddings[:, LEFT:].astype(np.float64), np.clip(actions, -1.0, 1.0).astype(np.float64)
        reach = np.arange(1, SLICES + 1) * (SLICE_S / robot.WHEEL_RAMP_S)
        # [B, slices, 2] motor outputs, then their mean over each substep
        ramp = before[:, None] + np.clip((wanted - before)[:, None], -reach[:, None], reach[:, None])
        driven = ramp.reshape(len(x), SUBSTEPS, SLICES // SUBSTEPS, 2).mean(axis=2) * self._gains
        straight = driven.mean(axis=2)  # [B, substeps] m/s
        twist = (driven[..., 1] - driven[..., 0]) / robot.TRACK_M  # rad/s
        substep_s = STEP_S / SUBSTEPS
        for substep in range(SUBSTEPS):
            towards_speed = straight[:, substep] + self._pull * turn * turn
            towards_turn = twist[:, substep] - self._drag * speed * turn
            next_speed = towards_speed + (speed - towards_speed) * self._keep_speed
            next_turn = towards_turn + (turn - towards_turn) * self._keep_turn
            middle = heading + turn * (substep_s / 2)
            way_m = (speed + next_speed) * (substep_s / 2)
            x, y = x + way_m * np.cos(middle), y + way_m * np.sin(middle)
            heading = heading + (turn + next_turn) * (substep_s / 2)
            speed, turn = next_speed, next_turn
        gap_m, towards_x, towards_y = self.geometry.nearest(x, y)
        inside_m = np.minimum(gap_m, 0.0)
        speed = np.where(gap_m < 0.0, 0.0, speed)
        state = np.stack(
            (x + inside_m * towards_x, y + inside_m * towards_y, heading, speed, turn, wanted[:, 0], wanted[:, 1]),
            axis=1,
        )
        return state.astype(np.float32), np.ones((len(x), 1), np.float32)

    def readout(self, embeddings: FloatArray) -> FloatArray:
        """[B, 7] -> [B, 12]. The sensor that looks towards the nearest obstacle says the exact gap to it.

        Eight rays alone can miss a cylinder that stands between two of them; the truth does not.
        """
        x, y, heading = embeddings[:, : HEADING_RAD + 1].T.astype(np.float64)
        ranges_m = self.geometry.ranges_m(x, y, heading)
        gap_m, towards_x, towards_y = self.geometry.nearest(x, y)
        off_rad = np.arctan2(towards_y, towards_x)[:, None] - heading[:, None] - _BEARINGS_RAD  # [B, 8]
        sensor = np.cos(off_rad).argmax(axis=1)[:, None]
        looked_m = np.take_along_axis(ranges_m, sensor, axis=1)
        np.put_along_axis(ranges_m, sensor, np.minimum(looked_m, np.maximum(gap_m, 0.0)[:, None]), axis=1)
        parts = (
            ranges_m / RANGE_SCALE_M,
            np.stack((x, y), axis=1) / POSITION_SCALE_M,
            np.stack((np.cos(heading), np.sin(heading)), axis=1),
        )
        return np.concatenate(parts, axis=1).astype(np.float32)

    @property
    def knows_the_way(self) -> bool:
        """Where walls part rooms; elsewhere the straight line says as much, and without a grid's roughness."""
        return self.geometry.has_rooms

    def way_to_go(self, embeddings: FloatArray, goal: FloatArray) -> FloatArray:
        """[B, 7], goal [1, 7] -> metres around the walls [B]."""
        goal_m = float(goal[0, X]), float(goal[0, Y])
        if goal_m not in self._ways:
            self._ways[goal_m] = _widened(self._arena.distances_from(*goal_m))
        metres = self._ways[goal_m]
        at = np.clip(embeddings[:, X : Y + 1] / GRID_M - 0.5, 0.0, np.array(metres.shape) - 1.001)
        column, row = at.astype(int).T
        right, up = (at - at.astype(int)).T
        grid_m = (
            metres[column, row] * (1 - right) * (1 - up)
            + metres[column + 1, row] * right * (1 - up)
            + metres[column, row + 1] * (1 - right) * up
            + metres[column + 1, row + 1] * right * up
        )
        straight_m = np.hypot(embeddings[:, X] - goal_m[0], embeddings[:, Y] - goal_m[1])
        to_go_m: FloatArray = np.maximum(grid_m, straight_m).astype(np.float32)
        return to_go_m


def _widened(metres: Array) -> Array:
    """Ways for the rim of the free space too: a robot that leans on a wall is still somewhere.

    Two cells, less than the width of a wall, so that no way leads through one; what stays closed is far.
    """
    for _ in range(2):
        padded = np.pad(metres, 1, constant_values=np.inf)
        sides = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
        metres = np.where(np.isfinite(metres), metres, np.min(sides, axis=0) + GRID_M)
    far_m = float(metres[np.isfinite(metres)].max()) + 1.0
    return np.where(np.isfinite(metres), metres, far_m)


class Geometry:
    """Distances and rays in one arena, for many robots at once."""

    def __init__(self, arena: Arena) -> None:
        self._width_m, self._height_m = arena.size_m
        inner = [
            wall
            for wall in arena.walls
            if wall.x_max_m > 0.0
            and wall.y_max_m > 0.0
            and wall.x_min_m < self._width_m
            and wall.y_min_m < self._height_m
        ]
        self._boxes = np.array([(w.x_min_m, w.y_min_m, w.x_max_m, w.y_max_m) for w in inner]).reshape(-1, 4).T  # [4, W]
        self._cylinders = np.array([(c.x_m, c.y_m, c.radius_m) for c in arena.cylinders]).reshape(-1, 3).T  # [3, C]

    @property
    def has_rooms(self) -> bool:
        """Whether there are inner walls."""
        return self._boxes.size > 0

    def nearest(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Of the nearest obstacle to each place [B]: gap to a robot's rim (negative: overlap), direction to it."""
        one, none = np.ones_like(x), np.zeros_like(x)
        gaps = [np.stack((x, self._width_m - x, y, self._height_m - y), axis=1)]
        across = [np.stack((-one, one, none, none), axis=1)]
        along = [np.stack((none, none, -one, one), axis=1)]
        x_min, y_min, x_max, y_max = self._boxes
        cylinder_x, cylinder_y, radius = self._cylinders
        at_x, at_y = x[:, None], y[:, None]
        for dx, dy, inner_m in (
            (np.clip(at_x, x_min, x_max) - at_x, np.clip(at_y, y_min, y_max) - at_y, 0.0),
            (cylinder_x - at_x, cylinder_y - at_y, radius),
        ):
            distance = np.hypot(dx, dy)
            unit = np.maximum(distance, 1e-9)
            gaps.append(distance - inner_m)
            across.append(dx / unit)
            along.append(dy / unit)
        gap_m = np.concatenate(gaps, axis=1)
        which = gap_m.argmin(axis=1)[:, None]
        picked = (np.take_along_axis(np.concatenate(parts, axis=1), which, axis=1)[:, 0] for parts in (across, along))
        return np.take_along_axis(gap_m, which, axis=1)[:, 0] - robot.BODY_RADIUS_M, *picked  # type: ignore[return-value]

    def ranges_m(self, x: Array, y: Array, heading_rad: Array) -> Array:
        """[B, 8] metres from the rim, as the twin's sensors would read without noise."""
        angle = heading_rad[:, None] + _BEARINGS_RAD
        ray_x, ray_y = np.cos(angle), np.sin(angle)  # [B, 8]
        with np.errstate(divide="ignore", invalid="ignore"):  # rays along an axis: infinities compare as they should
            over_x, over_y = 1.0 / ray_x, 1.0 / ray_y
            hit_m = np.minimum(
                np.where(ray_x > 0, self._width_m - x[:, None], -x[:, None]) * over_x,
                np.where(ray_y > 0, self._height_m - y[:, None], -y[:, None]) * over_y,
            )
            for x_min, y_min, x_max, y_max in self._boxes.T:  # slab method
                x_one, x_two = (x_min - x)[:, None] * over_x, (x_max - x)[:, None] * over_x
                y_one, y_two = (y_min - y)[:, None] * over_y, (y_max - y)[:, None] * over_y
                enter = np.maximum(np.minimum(x_one, x_two), np.minimum(y_one, y_two))
                leave = np.minimum(np.maximum(x_one, x_two), np.maximum(y_one, y_two))
                hit_m = np.where((enter <= leave) & (enter > 0.0), np.minimum(hit_m, enter), hit_m)
            for centre_x, centre_y, radius in self._cylinders.T:
                dx, dy = (centre_x - x)[:, None], (centre_y - y)[:, None]
                ahead = dx * ray_x + dy * ray_y  # to the point of the ray that is nearest to the axis
                inside = radius * radius - np.square(dx * ray_y - dy * ray_x)
                enter = ahead - np.sqrt(inside)  # NaN where the ray passes by, which is less than nothing
                hit_m = np.where(enter > 0.0, np.minimum(hit_m, enter), hit_m)
        ranges: Array = np.clip(hit_m - robot.BODY_RADIUS_M, 0.0, robot.RANGE_MAX_M)
        return ranges
