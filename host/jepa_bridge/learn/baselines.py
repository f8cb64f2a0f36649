"""What our planner is measured against: MPPI as one writes it in PyTorch, and the pytorch-mppi package.

    TorchMppi(GruModel(), config).plan(vector, goal)            # [11], [11] -> actions [H, 2], cost, confidence
    library_mppi(GruModel(), config)(vector, goal)              # the same model in pytorch-mppi
    library_mppi(StatelessModel(module), config)(vector, goal)  # our own model in it

Only `jepa-bridge bench plan` imports this. All of them minimise the contract's cost, which is cheaper than ours. The
GRU's weights are random: no time depends on them, and nothing here says how it would drive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from jepa_bridge.learn.model import WorldModule
    from jepa_bridge.plan.mppi import MppiConfig
    from jepa_bridge.world.vector import FloatArray

EMBEDDING, HIDDEN, CONFIDENCE_HIDDEN = 128, 128, 32


class Model(Protocol):
    """What both planners roll out: a state [B, N] whose first D numbers are the embedding."""

    embedding_dim: int
    state_size: int

    def begin(self, vector: Tensor) -> Tensor:
        """Contract vectors [B, 11] -> states [B, N]."""

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, N], actions [B, 2] -> states one step later, confidence [B, 1]."""


class GruModel(nn.Module):
    """The recurrent model that such robots have: embedding and action into two GRU layers, 218K multiply-adds a step.

    Its state is the embedding beside both layers' hidden states.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding_dim, self.state_size = EMBEDDING, EMBEDDING + 2 * HIDDEN
        self.encoder = nn.Sequential(nn.Linear(11, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, EMBEDDING))
        self.lower = nn.GRUCell(EMBEDDING + 2, HIDDEN)
        self.upper = nn.GRUCell(HIDDEN, HIDDEN)
        self.next_embedding = nn.Linear(HIDDEN, EMBEDDING)
        self.confidence = nn.Sequential(
            nn.Linear(HIDDEN, CONFIDENCE_HIDDEN), nn.ReLU(), nn.Linear(CONFIDENCE_HIDDEN, 1), nn.Sigmoid()
        )
        self.eval()

    def begin(self, vector: Tensor) -> Tensor:
        """[B, 11] -> [B, 384]; nothing remembered."""
        return torch.cat((self.encoder(vector), vector.new_zeros(len(vector), 2 * HIDDEN)), dim=1)

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 384], [B, 2] -> [B, 384], [B, 1]."""
        embedding, lower, upper = torch.split(state, [EMBEDDING, HIDDEN, HIDDEN], dim=1)
        lower = self.lower(torch.cat((embedding, action), dim=1), lower)
        upper = self.upper(lower, upper)
        return torch.cat((self.next_embedding(upper), lower, upper), dim=1), self.confidence(upper)

    def multiply_adds(self) -> int:
        """Of one step for one sample; biases and gates' products are not counted."""
        parts = (self.lower, self.upper, self.next_embedding, self.confidence)
        return sum(weight.numel() for part in parts for weight in part.parameters() if weight.dim() == 2)


class StatelessModel:
    """Our world model as torch modules; its embedding is its whole state."""

    def __init__(self, module: WorldModule) -> None:
        self.module = module.eval()
        self.embedding_dim = self.state_size = module.embedding_dim

    def begin(self, vector: Tensor) -> Tensor:
        """[B, 11] -> [B, D]."""
        return self.module.encoder(vector)  # type: ignore[no-any-return]

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """[B, D], [B, 2] -> [B, D], [B, 1]."""
        return self.module.predictor(torch.cat((state, action), dim=1))  # type: ignore[no-any-return]


class TorchMppi:
    """MPPI as plain PyTorch: loops over iterations and steps, one call an operation."""

    def __init__(self, model: Model, config: MppiConfig) -> None:
        self.model = model
        self.config = config
        self.ramp = torch.arange(1, config.horizon + 1) / config.horizon  # [H]

    @torch.inference_mode()
    def plan(self, vector: FloatArray, goal: FloatArray) -> tuple[Tensor, float, float]:
        """Contract vectors [11] of the observation and the goal -> actions [H, 2], cost, confidence."""
        config = self.config
        state = self.model.begin(torch.from_numpy(vector)[None])
        target = self.model.begin(torch.from_numpy(goal)[None])[:, : self.model.embedding_dim]
        nominal = torch.zeros(config.horizon, 2)
        for iteration in range(config.iterations):
            noise = torch.randn(config.samples, config.horizon, 2)
            actions = (nominal + config.std * config.std_decay**iteration * noise).clamp(-1.0, 1.0)
            cost, _ = self.rollout(state, actions, target)
            weights = torch.softmax(-(cost - cost.min()) / config.temperature, dim=0)
            nominal = (weights[:, None, None] * actions).sum(dim=0)
        cost, confidence = self.rollout(state, nominal[None], target)
        return nominal, float(cost[0]), float(confidence[0])

    def rollout(self, state: Tensor, actions: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """State [1, N], actions [S, H, 2], goal embedding [1, D] -> costs [S], least confidence [S]."""
        samples = len(actions)
        state = state.expand(samples, -1)
        cost, least = torch.zeros(samples), torch.ones(samples)
        for step in range(self.config.horizon):
            state, confidence = self.model.step(state, actions[:, step])
            cost = cost + self.ramp[step] * (state[:, : target.shape[1]] - target).norm(dim=1)
            least = torch.minimum(least, confidence[:, 0])
        return cost, least


def library_mppi(model: Model, config: MppiConfig) -> Callable[[FloatArray, FloatArray], Tensor]:
    """pytorch-mppi on `model`: (observation [11], goal [11]) -> actions [H, 2].

    The package's `command` is one iteration, so a plan is several of them; it makes no final rollout, which spares it
    a part of the others' work.
    """
    from pytorch_mppi import MPPI  # noqa: PLC0415  # in the `bench` extra only

    target = torch.zeros(1, model.embedding_dim)

    def dynamics(state: Tensor, action: Tensor, _step: int) -> Tensor:
        return model.step(state, action)[0]

    def running_cost(state: Tensor, _action: Tensor, step: int) -> Tensor:
        distance: Tensor = (state[:, : model.embedding_dim] - target).norm(dim=1)
        return (step + 1) / config.horizon * distance

    planner = MPPI(
        dynamics,
        running_cost,
        model.state_size,
        torch.eye(2) * config.std**2,
        num_samples=config.samples,
        horizon=config.horizon,
        lambda_=config.temperature,
        u_min=torch.full((2,), -1.0),
        u_max=torch.full((2,), 1.0),
        step_dependent_dynamics=True,
    )

    @torch.inference_mode()
    def plan(vector: FloatArray, goal: FloatArray) -> Tensor:
        target.copy_(model.begin(torch.from_numpy(goal)[None])[:, : model.embedding_dim])
        state = model.begin(torch.from_numpy(vector)[None])[0]
        for iteration in range(config.iterations):
            planner.command(state, shift_nominal_trajectory=iteration == 0)
        actions: Tensor = planner.get_action_sequence()
        return actions

    return plan
