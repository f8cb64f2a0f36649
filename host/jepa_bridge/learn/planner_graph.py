"""The whole plan as torch modules, to be compiled into one graph: plan/mppi.py again, in one call.

    Prelude   observation, motion, goal, radius -> where the rollouts start, and what the cost needs of the goal
    Improve   nominal, offsets, keep, what can be reached -> the nominal after one iteration
    Conclude  nominal -> its cost and confidence

Only memory and code run step by step; poses, readouts and costs are done for all steps at once. Numbers of all steps
stand beside each other in a row ([S, H], or [S, 2H] for pairs, all x then all y), so that sums along the horizon,
reordering and weighting are products with constant matrices: one node each, where each node costs 1 to 2 us. An
activation right behind a product costs none: onnxruntime does both at once.
`tests/learn/test_planner_graph.py` holds all of it against the reference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from jepa_bridge.learn.model import LOCAL, MEMORY, MOTION, STEP_M, TAIL, TURN_RAD, WorldModule
from jepa_bridge.world.vector import POSITION_SCALE_M, RANGES, VECTOR_SIZE

if TYPE_CHECKING:
    from jepa_bridge.learn.planner_costs import CostGraph


class Imagine(nn.Module):
    """Rollouts, all from one start, four nodes a step.

    What goes from step to step is one row a sample, the state: | memory 8 | code L | forward, left, turn, doubt |. All
    of it is carried over and added to, so the last four are sums over the steps so far.
    """

    def __init__(self, module: WorldModule, horizon: int) -> None:
        super().__init__()
        predictor = module.predictor
        self.horizon = horizon
        code, tail = module.embedding_dim - LOCAL, torch.zeros(TAIL, predictor.enter.out_features)
        enter = predictor.enter.weight.detach().T
        enter_state, self.enter_action = torch.cat((enter[:-2], tail)), constant(enter[-2:])
        self.enter_start = constant(enter_state)
        self.enter = constant(torch.cat((enter_state, enter[-2:])))
        self.enter_bias = constant(predictor.enter.bias.detach())
        self.deepen = constant(predictor.deepen.weight.detach().T)
        self.deepen_bias = constant(predictor.deepen.bias.detach())
        # metres, radians and doubt's logit instead of twist and confidence's
        scale = torch.ones(code + MEMORY + TAIL)
        scale[-TAIL:] = torch.tensor([STEP_M, STEP_M, TURN_RAD, -1.0])
        self.leave = constant(predictor.leave * scale)

    def begin(self, memory: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Memory [1, 8], code [1, L] -> the state [1, W], and what it adds to the first layer [1, hidden]."""
        state = torch.cat((memory, functional.pad(code, (0, TAIL))), dim=1)
        return state, torch.addmm(self.enter_bias, state, self.enter_start)

    def forward(self, state: Tensor, enter: Tensor, actions: Tensor) -> Tensor:
        """What `begin` said, actions [S, 2H] -> the states after each step [H S, W], those of a step together."""
        states = []
        for step, action in enumerate(actions.split_with_sizes([2] * self.horizon, dim=1)):
            if step == 0:  # from the same for all samples: that part is one row
                hidden = functional.relu(torch.addmm(enter, action, self.enter_action))
            else:
                hidden = functional.relu(torch.addmm(self.enter_bias, torch.cat((state, action), dim=1), self.enter))
            hidden = functional.relu(torch.addmm(self.deepen_bias, hidden, self.deepen))
            state = torch.addmm(state, hidden, self.leave)
            states.append(state)
        return torch.cat(states)


class Trace(nn.Module):
    """States -> where the robot is after each step, relative to the goal, and which way it looks.

    Their ends are sums over the steps so far. One product turns them, [S, 4H], into all that is linear in them: angles
    before each step (twice, for x and y), angles after each step, displacements of each step as (forward, left) and as
    (-left, forward), doubt.
    """

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon
        step = torch.eye(horizon) - torch.diag(torch.ones(horizon - 1), 1)  # [H, H] sum t minus the one before
        sums = [_pick(horizon, kind) for kind in range(TAIL)]  # each [4H, H]
        forward, left, turn, doubt = (each @ step for each in sums)
        after = sums[2]
        before = after - turn
        self.spread = constant(torch.cat((before, before, after, forward, left, -left, forward, doubt), dim=1))
        # which of these the start's heading is added to, and which the goal's is taken from
        ones, none = torch.ones(1, horizon), torch.zeros(1, 5 * horizon)
        self.starts = constant(torch.cat((ones, ones, ones, none), dim=1))
        self.wants = constant(torch.cat((0 * ones, 0 * ones, ones, none), dim=1))
        self.sum = constant(torch.kron(torch.eye(2), torch.triu(torch.ones(horizon, horizon))))
        self.axes = constant(torch.kron(torch.eye(2), ones))  # [2, 2H]

    def begin(self, angle: Tensor, wanted: Tensor, away: Tensor) -> tuple[Tensor, Tensor]:
        """Start's and goal's heading [1, 1] rad, start minus goal [1, 2] m -> rows [1, 8H], [1, 2H]."""
        return angle * self.starts - wanted * self.wants, away @ self.axes

    def forward(self, angles: Tensor, away: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `begin` said, states [H S, W] -> position minus goal [S, 2H], heading minus its [S, H], doubt [S, H]."""
        steps = self.horizon
        tails = states[:, -TAIL:].reshape(steps, -1, TAIL).transpose(0, 1).reshape(-1, TAIL * steps)
        spread = torch.addmm(angles, tails, self.spread)
        before, after, ahead, aside, doubt = spread.split_with_sizes(
            (2 * steps, steps, 2 * steps, 2 * steps, steps), dim=1
        )
        moved = torch.cos(before) * ahead + torch.sin(before) * aside
        return torch.addmm(away, moved, self.sum), after, torch.sigmoid(doubt)


class Planner(nn.Module):
    """What Prelude, Improve and Conclude share."""

    def __init__(self, module: WorldModule, cost: CostGraph, horizon: int) -> None:
        super().__init__()
        self.encoder = module.encoder
        self.imagine = Imagine(module, horizon)
        self.trace = Trace(horizon)
        self.cost = cost

    def rate(self, terms: tuple[Tensor, ...], actions: Tensor) -> tuple[Tensor, Tensor]:
        """What Prelude said, actions [S, 2H] -> cost [S, 1], doubt [S, H]."""
        state, enter, angles, away, *goal = terms
        states = self.imagine(state, enter, actions)
        relative, turned, doubt = self.trace(angles, away, states)
        return self.cost(tuple(goal), actions, states, relative, turned, doubt), doubt


class Prelude(nn.Module):
    """Everything that is the same for all iterations."""

    def __init__(self, planner: Planner) -> None:
        super().__init__()
        self.planner = planner

    def forward(
        self, observation: Tensor, motion: Tensor, goal: Tensor, radius_m: Tensor, keep: Tensor
    ) -> tuple[Tensor, ...]:
        """[1, 11], [1, 3] (known, left, right in units of full speed), [1, 11], [1], [I, S, 1] -> the others' terms.

        First `order` [4] for `weigh`, then what `Planner.rate` takes.
        """
        planner = self.planner
        both = torch.cat((observation, goal), dim=0)
        codes = planner.encoder.local(both[:, :RANGES])
        position = both[:, RANGES : RANGES + 2] * POSITION_SCALE_M
        turn = both[:, RANGES + 2 : VECTOR_SIZE]
        known = (turn >= 0.0).to(turn.dtype)
        angle = turn * (2.0 * math.pi) * known
        memory = functional.pad(motion, (0, MEMORY - MOTION))
        return (
            order(keep.shape[1]),
            *planner.imagine.begin(memory, codes[:1]),
            *planner.trace.begin(angle[:1], angle[1:], position[:1] - position[1:]),
            *planner.cost.begin(position[1:], angle[1:], known[1:], codes[1:], radius_m),
        )


class Improve(nn.Module):
    """One iteration."""

    def __init__(self, planner: Planner) -> None:
        super().__init__()
        self.planner = planner

    def forward(
        self,
        nominal: Tensor,
        offsets: Tensor,
        keep: Tensor,
        temperature: Tensor,
        lowest: Tensor,
        highest: Tensor,
        ranks: Tensor,
        *terms: Tensor,
    ) -> Tensor:
        """[1, 2H], [S, 2H], [S, 1], [], [1, 2H] twice and Prelude's terms -> the candidates' weighted mean [1, 2H]."""
        actions = torch.minimum(torch.maximum(keep * nominal + offsets, lowest), highest)
        cost, _ = self.planner.rate(terms, actions)
        return weigh(cost.reshape(1, -1), ranks, temperature) @ actions


class Conclude(nn.Module):
    """What the bridge wants to know of the plan that came out."""

    def __init__(self, planner: Planner) -> None:
        super().__init__()
        self.planner = planner

    def forward(self, nominal: Tensor, *terms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[1, 2H] and Prelude's terms -> actions [H, 2], cost [1], the least confidence [1]."""
        cost, doubt = self.planner.rate(terms, nominal)
        return nominal.reshape(-1, 2), cost.reshape(1), 1.0 - doubt.amax(dim=1)


def order(samples: int) -> Tensor:
    """Of S costs in ascending order those that `weigh` looks at [4]: the best, the middle two (or one twice), the last.

    One tensor, not numbers: in a trace it stays a function of S, and it is made once a plan.
    """
    count = torch.as_tensor(samples)
    return torch.stack((count * 0, (count - 1) // 2, count // 2, count - 1))


def weigh(cost: Tensor, ranks: Tensor, temperature: Tensor) -> Tensor:
    """Costs [1, S], `order(S)` -> weights [1, S]: `plan.mppi.weigh`, whose comments say why."""
    ascending, _ = torch.sort(cost, dim=1)
    best, low, high, last = torch.index_select(ascending, 1, ranks).split_with_sizes((1, 1, 1, 1), dim=1)
    unit = 0.5 * (low + high) - best
    # if all cost the same there is nothing to divide: any unit will do
    unit = torch.where(unit > 0.0, unit, (last - best) + 1e-30)
    return torch.softmax((best - cost) / (unit * temperature), dim=1)


def constant(values: Tensor) -> nn.Parameter:
    """As an initializer of the traced graph."""
    return nn.Parameter(values.detach().clone().contiguous(), requires_grad=False)


def _pick(horizon: int, kind: int) -> Tensor:
    """[4H, H]: column t is one where row is `kind` of step t."""
    picked = torch.zeros(TAIL * horizon, horizon)
    steps = torch.arange(horizon)
    picked[TAIL * steps + kind, steps] = 1.0
    return picked
