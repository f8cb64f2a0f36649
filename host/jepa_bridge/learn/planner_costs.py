"""plan/costs.py once more, as torch modules for the compiled planner; every number is of the same ClearanceWeights.

A cost says in `begin` what it needs of the goal, once a plan, and then rates all samples of an iteration at once. As in
planner_graph.py the steps of the horizon stand beside each other, [S, H], and pairs as [S, 2H], all x then all y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from jepa_bridge.learn.model import HEADING_SCALE_M, LOCAL_SCALE_M, MEMORY, MEMORY_SCALE_M, TAIL
from jepa_bridge.learn.planner_graph import constant
from jepa_bridge.plan.costs import STRAIGHT_M, ClearanceWeights
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGE_SCALE_M, RANGES

if TYPE_CHECKING:
    from jepa_bridge.learn.model import WorldModule
    from jepa_bridge.learn.wayfinding import WayToGo


class CostGraph(nn.Module):
    """Rates rollouts towards the goal that `begin` was told."""

    def begin(
        self, position: Tensor, angle: Tensor, known: Tensor, code: Tensor, radius_m: Tensor
    ) -> tuple[Tensor, ...]:
        """Of the goal: [1, 2] m, heading [1, 1] rad (0 if unknown), whether it is known, code [1, L], [1] -> terms."""
        raise NotImplementedError

    def forward(
        self,
        goal: tuple[Tensor, ...],
        actions: Tensor,
        states: Tensor,
        relative: Tensor,
        turned: Tensor,
        doubt: Tensor,
    ) -> Tensor:
        """`begin`'s terms, actions [S, 2H], states [H S, W] (see Imagine), positions minus the goal's [S, 2H] m,
        headings minus the goal's [S, H] rad, one minus confidence [S, H] -> [S, 1]."""
        raise NotImplementedError


class EmbeddingGraph(CostGraph):
    """EmbeddingCost: each part's squared distance, summed."""

    def __init__(self, module: WorldModule, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon
        self.lift = module.encoder.lift
        self.pair = constant(torch.cat((torch.eye(horizon), torch.eye(horizon))))  # [2H, H]
        width = module.encoder.width
        scale = torch.tensor((MEMORY_SCALE_M**2,) * MEMORY + (LOCAL_SCALE_M**2 / width,) * width + (0.0,) * TAIL)
        self.scale = constant(scale[:, None])  # [W, 1]
        self.ramp = constant(_ramp(horizon)[:, None])

    def begin(
        self, position: Tensor, angle: Tensor, known: Tensor, code: Tensor, radius_m: Tensor
    ) -> tuple[Tensor, ...]:
        """Whether the heading is known [1, 1], a state with its code [1, W]; on a lifted floor position, place too."""
        lifted = () if self.lift is None else (position, self.lift(position))
        # angle and radius_m do not count here; an input that nothing uses would be lost in the export
        return known + 0.0 * (angle + radius_m), functional.pad(code, (MEMORY, TAIL)), *lifted

    def forward(
        self,
        goal: tuple[Tensor, ...],
        actions: Tensor,
        states: Tensor,
        relative: Tensor,
        turned: Tensor,
        doubt: Tensor,
    ) -> Tensor:
        """[S, 1]."""
        known, state, *lifted = goal
        squared = (relative * relative) @ self.pair
        # two unit vectors an angle apart; against no heading there is only one
        squared = squared + HEADING_SCALE_M**2 * (1.0 + known * (1.0 - 2.0 * torch.cos(turned)))
        off = states - state
        squared = squared + ((off * off) @ self.scale).reshape(self.horizon, -1).T
        if self.lift is not None:
            position, place = lifted
            here = _rows(relative, self.horizon) + position
            squared = squared + (self.lift(here) - place).square().sum(dim=1).reshape(-1, self.horizon)
        return torch.sqrt(squared) @ self.ramp


class ClearanceGraph(CostGraph):
    """ClearanceCost, and WayCost if a way to go is given.

    Everything that is summed in the end lies in one row a sample, so that the sum is one product:

        | metres to go H | heading near the goal H | wheels at the goal 2H | doubt H | room H | changes 2H-2 |
    """

    def __init__(
        self, module: WorldModule, horizon: int, weights: ClearanceWeights | None = None, way: WayToGo | None = None
    ) -> None:
        super().__init__()
        weights = weights or ClearanceWeights()
        if not 0.0 < weights.touch_m <= weights.margin_m:
            raise ValueError(f"expected touch_m in (0, margin_m], got {weights}")
        self.horizon = horizon
        self.way = None if way is None else WayGraph(way)
        layers: list[Any] = list(module.readout.ranges)
        look, _, ranges = layers
        self.look, self.look_bias = constant(functional.pad(look.weight.T, (0, 0, MEMORY, TAIL))), constant(look.bias)
        # not the range but its depth comes out, 1 - range / margin: how far within the margin
        scale = RANGE_SCALE_M / weights.margin_m
        self.depth, self.depth_bias = constant(-scale * ranges.weight.T), constant(1.0 - scale * ranges.bias)
        self.touch_depth = 1.0 - weights.touch_m / weights.margin_m
        # wheels and their changes from step to step
        steps = torch.eye(2 * horizon)
        self.wheels = constant(torch.cat((steps, steps[2:] - steps[:-2])).T)  # [2H, 4H - 2]
        # squared metres once for each column of "near" and of both wheels "arrived"
        eye = torch.eye(horizon)
        self.pair = constant(torch.cat((eye, eye)) @ torch.cat((eye, eye.repeat_interleave(2, dim=1)), dim=1))
        near, wheels = torch.ones(1, horizon), torch.ones(1, 2 * horizon)
        self.near = constant(torch.cat((-near / weights.near_m**2, 0 * wheels), dim=1))
        self.arrived = constant(torch.cat((0 * near, -wheels), dim=1))

        ramp, mean, none = _ramp(horizon) * (2.0 / (horizon + 1)), torch.full((horizon,), 1.0 / horizon), 0 * near[0]
        touch = weights.touch * weights.margin_m / weights.touch_m
        self.room = constant(torch.tensor((weights.margin,) * RANGES + (touch,))[:, None])
        smooth = torch.full((2 * horizon - 2,), weights.smooth / (2 * max(horizon - 1, 1)))
        calm = (0.5 * weights.calm * mean).repeat(2)
        parts = (ramp, none, calm, weights.doubt * mean, mean, smooth)
        self.weights = constant(torch.cat(parts)[:, None])
        heading = torch.zeros_like(self.weights)
        heading[horizon : 2 * horizon, 0] = weights.heading * ramp
        self.heading = constant(heading)

    def begin(
        self, position: Tensor, angle: Tensor, known: Tensor, code: Tensor, radius_m: Tensor
    ) -> tuple[Tensor, ...]:
        """What squared metres are multiplied with for "near" and "arrived" [1, 3H], the row's weights; of the way."""
        way = () if self.way is None else self.way.begin(position)
        return self.near + self.arrived / (radius_m * radius_m), self.weights + known * self.heading, *way

    def forward(
        self,
        goal: tuple[Tensor, ...],
        actions: Tensor,
        states: Tensor,
        relative: Tensor,
        turned: Tensor,
        doubt: Tensor,
    ) -> Tensor:
        """[S, 1]."""
        close, weights, *way = goal
        steps = self.horizon
        squared = (relative * relative) @ self.pair  # [S, 3H]
        to_go = torch.sqrt(squared[:, :steps])
        if self.way is not None:
            metres = self.way(tuple(way), _rows(relative, steps)).reshape(-1, steps)
            far = 1.0 - torch.exp(squared[:, :steps] * (-1.0 / STRAIGHT_M**2))
            to_go = to_go + far * metres
            squared = torch.cat((to_go, to_go.repeat_interleave(2, dim=1)), dim=1).square()

        looks = functional.relu(torch.addmm(self.look_bias, states, self.look))
        depth = torch.clamp(torch.addmm(self.depth_bias, looks, self.depth), 0.0, 1.0)  # [H S, 8]
        touch = functional.relu(depth.amax(dim=1, keepdim=True) - self.touch_depth)
        room = torch.cat((depth * depth, touch), dim=1) @ self.room  # [H S, 1]

        wheels = actions @ self.wheels
        speeds, changes = (wheels * wheels).split_with_sizes((2 * steps, 2 * steps - 2), dim=1)
        there = torch.exp(squared * close) * torch.cat((1.0 - torch.cos(turned), speeds), dim=1)  # [S, 3H]
        row = torch.cat((to_go, there, doubt, room.reshape(steps, -1).T, changes), dim=1)
        return row @ weights


class WayGraph(nn.Module):
    """WayToGo.detour with what depends on the goal alone done once, and both directions in one product."""

    def __init__(self, way: WayToGo) -> None:
        super().__init__()
        layers: list[Any] = list(way.mlp)
        first, _, second, _, last = layers
        waves = len(way.turns)
        # features here: x, y, sines of x's and y's waves, cosines; WayToGo sorts by axis first
        of_x, of_y = torch.arange(2, 2 + 2 * waves), torch.arange(2 + 2 * waves, 2 + 4 * waves)
        order = torch.cat((torch.arange(2), of_x[:waves], of_y[:waves], of_x[waves:], of_y[waves:]))
        here, there = (half[order] for half in first.weight.detach().T.chunk(2))  # [F, hidden] each
        both, swapped = torch.cat((here, there), dim=1), torch.cat((there, here), dim=1)  # [F, 2 hidden]
        bias = first.bias.detach().repeat(2)
        for weights in (both, swapped):
            bias = bias - 0.5 * weights[:2].sum(dim=0)
            weights[:2] /= POSITION_SCALE_M
        self.both, self.swapped, self.bias = constant(both), constant(swapped), constant(bias)
        self.turns = constant(torch.kron(torch.eye(2), way.turns[None]))  # [2, 2W]
        self.hidden: int = first.out_features
        self.second, self.second_bias = constant(second.weight.T), constant(second.bias)
        self.last, self.last_bias = constant(0.5 * last.weight.T.repeat(2, 1)), constant(last.bias)

    def begin(self, position: Tensor) -> tuple[Tensor, ...]:
        """Goal [1, 2] m -> itself, and what it adds to the first layer [1, 2 hidden]."""
        return position, torch.addmm(self.bias, self._features(position), self.swapped)

    def forward(self, goal: tuple[Tensor, ...], relative: Tensor) -> Tensor:
        """`begin`'s terms, positions minus goal [B, 2] -> metres beyond the straight line [B, 1]."""
        position, first = goal
        hidden = functional.silu(torch.addmm(first, self._features(relative + position), self.both))
        hidden = hidden.reshape(-1, self.hidden)  # [2 B, hidden], there and back together
        hidden = functional.silu(torch.addmm(self.second_bias, hidden, self.second))
        return functional.softplus(torch.addmm(self.last_bias, hidden.reshape(-1, 2 * self.hidden), self.last))

    def _features(self, position: Tensor) -> Tensor:
        angle = position @ self.turns
        return torch.cat((position, torch.sin(angle), torch.cos(angle)), dim=1)


def _rows(pairs: Tensor, horizon: int) -> Tensor:
    """[S, 2H] -> [S H, 2]."""
    return pairs.reshape(-1, 2, horizon).transpose(1, 2).reshape(-1, 2)


def _ramp(horizon: int) -> Tensor:
    return torch.arange(1, horizon + 1, dtype=torch.float32) / horizon
