"""What each part of the training recipe is worth: train without it, then drive.

    python tests/bench/ablation.py DATA --out /tmp/ablation            a table, some 6 minutes a row on one core
    python tests/bench/ablation.py DATA --out /tmp/ablation --json     the same for programs
    python tests/bench/ablation.py DATA --out /tmp/ablation --card models/small    and into that bundle's card

All rows see the same batches for the same number of steps, fewer than a shipped model gets, and drive the same
held-out episodes. A row that is in `--out` already is not trained again. Errors are after 2 s, in metres and degrees;
"way" is Spearman's rank correlation of embedding distance with the way around the obstacles.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))

from jepa_bridge.learn.dataset import load
from jepa_bridge.learn.evaluate import evaluate
from jepa_bridge.learn.losses import LossWeights
from jepa_bridge.learn.model import LOCAL, MEMORY, TIERS, TWIST, Predictor, on_sphere, with_motion
from jepa_bridge.learn.page import update_metrics
from jepa_bridge.learn.train import TrainConfig, Trainer
from jepa_bridge.learn.validate import validate
from jepa_bridge.learn.waytogo import summary, way_to_go
from jepa_bridge.world.bundle import WHEEL_SPEED_M_S
from jepa_bridge.world.vector import observation_vector

if TYPE_CHECKING:
    from jepa_bridge.learn.dataset import Windows
    from jepa_bridge.learn.model import WorldModule
    from jepa_bridge.types import Observation
    from jepa_bridge.world.vector import FloatArray

ARENA = "cluttered"
SEED = 77  # of the held-out episodes: used for nothing else


class GruPredictor(Predictor):
    """The recurrent choice under the same contract: memory and code are the state of a GRU cell, the action its input.

    It has one layer less than the residual step, and gates; more multiply-adds (81K instead of 48K at small: its state
    cannot be narrower than the embedding).
    """

    def __init__(self, tier: Any) -> None:
        super().__init__(tier)
        code = tier.embedding_dim - LOCAL
        self.cell = nn.GRUCell(2, MEMORY + code)
        self.out = nn.Linear(MEMORY + code + 2, MEMORY + code + TWIST + 1)

    def step(self, memory: Tensor, code: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As the residual one."""
        state = self.cell(action, torch.cat((memory, code), dim=1))
        width = self.dim - LOCAL
        memory, code, twist, sure = self.out(torch.cat((state, action), dim=1)).split((MEMORY, width, TWIST, 1), dim=1)
        return torch.tanh(memory), on_sphere(code, width), twist, sure


class NormalisedPredictor(Predictor):
    """The step before it was made for speed: SiLU, a residual layer, codes put back onto their sphere each step."""

    def __init__(self, tier: Any) -> None:
        super().__init__(tier)
        code = tier.embedding_dim - LOCAL
        self.out = nn.Linear(tier.predictor_hidden + MEMORY + 2, MEMORY + code + TWIST + 1)
        nn.init.zeros_(self.out.bias)

    def step(self, memory: Tensor, code: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As the other one."""
        hidden = functional.silu(self.enter(torch.cat((memory, code, action), dim=1)))
        hidden = hidden + functional.silu(self.deepen(hidden))
        out = self.out(torch.cat((hidden, memory, action), dim=1))
        width = self.dim - LOCAL
        memory, change, twist, sure = out.split((MEMORY, width, TWIST, 1), dim=1)
        return torch.tanh(memory), on_sphere(code + change, width), twist, sure


@dataclass(frozen=True, slots=True)
class Variant:
    """One row: the recipe, changed."""

    name: str
    weights: LossWeights = field(default_factory=LossWeights)
    horizon: int = 10
    ema: float = 0.99
    step: type[Predictor] = Predictor
    motion: bool = True


VARIANTS = (
    Variant("as shipped"),
    Variant("trained on one step instead of ten", horizon=1),
    Variant("GRU cell instead of a residual step", step=GruPredictor),
    Variant("normalised step with SiLU", step=NormalisedPredictor),
    Variant("no variance, no covariance", LossWeights(variance=0.0, covariance=0.0)),
    Variant("no inverse dynamics", LossWeights(inverse=0.0)),
    Variant("no slow target", ema=0.0),
    Variant("no loss on predicted codes", LossWeights(code=0.0)),
    Variant("no loss on predicted ranges", LossWeights(ranges=0.0)),
    Variant("wheel speeds unknown", motion=False),
)


class TorchWorld:
    """A module as a world model, without the detour over a bundle."""

    def __init__(self, module: WorldModule, *, motion: bool) -> None:
        self.module = module.eval()
        self.embedding_dim = module.embedding_dim
        self._motion = motion

    @torch.no_grad()
    def encode(self, vectors: FloatArray) -> FloatArray:
        """[B, 11] -> [B, D]."""
        return self.module.encoder(torch.from_numpy(vectors)).numpy()

    @torch.no_grad()
    def start(self, observation: Observation) -> FloatArray:
        """[1, D]."""
        embedding = self.module.encoder(torch.from_numpy(observation_vector(observation)[None]))
        speeds = (observation.left_m_s / WHEEL_SPEED_M_S, observation.right_m_s / WHEEL_SPEED_M_S)
        motion = torch.tensor([[1.0, *speeds]]) if self._motion else torch.zeros(1, 3)
        return with_motion(embedding, motion).numpy()

    @torch.no_grad()
    def predict(self, embeddings: FloatArray, actions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """[B, D], [B, 2] -> [B, D], [B, 1]."""
        joined = torch.from_numpy(np.concatenate((embeddings, actions), axis=1))
        embedding, confidence = self.module.predictor(joined)
        return embedding.numpy(), confidence.numpy()

    @torch.no_grad()
    def readout(self, embeddings: FloatArray) -> FloatArray:
        """[B, D] -> [B, 12]."""
        return self.module.readout(torch.from_numpy(np.ascontiguousarray(embeddings))).numpy()


class Resting:
    """Windows whose wheel speeds are never told."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        windows.speeds[:] = np.nan

    def __getattr__(self, name: str) -> Any:
        return getattr(self._windows, name)

    def __len__(self) -> int:
        return len(self._windows)


def train(variant: Variant, shards: list[Path], tier: str, steps: int) -> WorldModule:
    """The recipe of learn/train.py without what a long run needs."""
    config = TrainConfig(tier=tier, steps=steps, horizon=variant.horizon, ema=variant.ema, weights=variant.weights)
    windows, _, _ = load(shards, variant.horizon)
    if not variant.motion:
        windows = Resting(windows)
    trainer = Trainer(config)
    if variant.step is not Predictor:
        torch.manual_seed(config.seed)
        trainer.module.predictor = variant.step(TIERS[tier])
        trainer.optimizer = torch.optim.AdamW(
            trainer.module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
    while trainer.step < steps:
        loss = trainer.advance(windows)["loss"]
        if trainer.step % 250 == 0:
            print(f"{variant.name}: step {trainer.step} of {steps}, loss {loss:.3f}", file=sys.stderr, flush=True)
    return trainer.module


def judge(variant: Variant, module: WorldModule, shards: list[Path], episodes: int) -> dict[str, Any]:
    """Prediction after ten steps, whichever it was trained on, and driving with both costs."""
    _, held_out, _ = load(shards, 10)
    found = validate(module.eval(), Resting(held_out) if not variant.motion else held_out)
    world = TorchWorld(module, motion=variant.motion)
    # the maps of evaluation are disjoint from those of collecting; a module has no card that could be asked
    rows = evaluate(world, ARENA, episodes, SEED, planners=("model", "contract_cost"), known_map=True).rows
    driving = {
        row.planner: {
            "reached": row.reached,
            "low": row.reached_low,
            "high": row.reached_high,
            "contacts_per_episode": row.contacts_per_episode,
        }
        for row in rows
    }
    return {
        "variant": variant.name,
        "position_m": found["position_m"][-1],
        "heading_deg": found["heading_deg"][-1],
        "ranges_m": found["ranges_m"][-1],
        "confidence_auroc": found["confidence_auroc"],
        "code_rank": found["code_rank"],
        "way_spearman": summary(way_to_go(world.encode, ARENA))["spearman"],
        **driving,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tier", default="small")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--only", action="append", metavar="TEXT", help="rows whose name has TEXT in it; repeat")
    parser.add_argument("--card", type=Path, help="bundle whose card gets the table")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shards = sorted(options.data.glob("*.npz"))
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, variant in enumerate(VARIANTS):
        if options.only and not any(text in variant.name for text in options.only):
            continue
        path = options.out / f"{number}.json"
        if not path.exists():
            module = train(variant, shards, options.tier, options.steps)
            path.write_text(json.dumps(judge(variant, module, shards, options.episodes)), encoding="utf-8")
        rows.append(json.loads(path.read_text(encoding="utf-8")))
    terms = {"tier": options.tier, "steps": options.steps, "episodes": options.episodes, "arena": ARENA, "seed": SEED}
    if options.card:
        update_metrics(options.card, {"ablation": {**terms, "rows": rows}})
    if options.json:
        print(json.dumps({**terms, "rows": rows}))
        return
    print(
        f"{terms}\n{'':36} position heading ranges  way  | default cost        contacts | contract's cost     contacts"
    )
    for row in rows:
        model, contract = row["model"], row["contract_cost"]
        print(
            f"{row['variant']:36} {row['position_m']:8.3f} {row['heading_deg']:7.1f} {row['ranges_m']:6.3f} "
            f"{row['way_spearman']:5.2f} | {_share(model)} {model['contacts_per_episode']:8.2f} | "
            f"{_share(contract)} {contract['contacts_per_episode']:8.2f}"
        )


def _share(row: dict[str, float]) -> str:
    return f"{100 * row['reached']:3.0f} % [{100 * row['low']:4.1f}, {100 * row['high']:5.1f}]"


if __name__ == "__main__":
    main()
