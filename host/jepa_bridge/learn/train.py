"""Trains a world model on shards: read `train` from top to bottom.

    checkpoint = train(sorted(Path("data").glob("*.npz")), Path("run"), TrainConfig(tier="small"))

Step n draws its batch from a generator seeded with (seed, n), so a run that was stopped and resumed is the same run.
A kill loses at most `checkpoint_every` steps, an interrupt none.
"""

from __future__ import annotations

import copy
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.dataset import load
from jepa_bridge.learn.losses import LossWeights, losses, total
from jepa_bridge.learn.model import TIERS, WorldModule
from jepa_bridge.learn.validate import effective_rank, validate
from jepa_bridge.world.vector import RANGES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jepa_bridge.learn.dataset import Windows

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_FORMAT = 1
SHOW_EVERY = 50  # steps
HISTORY_POINTS = 200  # of the losses, for the plot
# A code that collapses is easy to predict and says nothing. The variance loss asks for a deviation of 0.7; eight ranges
# cannot be told apart in fewer than eight dimensions.
CHECK_EVERY = 250  # steps
CHECK_FROM = 1000  # before that a healthy code has not spread yet
LEAST_DEVIATION = 0.35
LEAST_RANK = 8.0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run. Everything that changes the result is here or in the data."""

    tier: str = "small"
    steps: int = 9500
    batch: int = 256  # windows
    horizon: int = 10  # the horizon that is planned with
    learning_rate: float = 2e-3
    warmup: int = 200  # steps
    weight_decay: float = 1e-4
    clip: float = 1.0  # of the gradient's norm: ten steps of rollout can throw a spike
    ema: float = 0.99  # of the target encoder, each step
    seed: int = 0
    checkpoint_every: int = 500
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.tier not in TIERS:
            raise BridgeError(
                "tier-unknown",
                f"expected a tier of {', '.join(TIERS)}, got {self.tier!r}",
                "choose one of these",
                status=Exit.USAGE,
            )


class Trainer:
    """What a checkpoint holds: the modules, the slow target encoder, the optimiser and the step."""

    def __init__(self, config: TrainConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.step = 0
        self.module = WorldModule(config.tier)
        self.target = copy.deepcopy(self.module.encoder).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def advance(self, windows: Windows) -> dict[str, float]:
        """One step on a batch of its own; returns the parts of the loss."""
        config = self.config
        rng = np.random.default_rng([config.seed, self.step])
        batch = windows.batch(rng.integers(len(windows), size=config.batch), rng)
        pair = int(rng.integers(config.horizon))
        parts = losses(
            self.module,
            self.target,
            torch.from_numpy(batch.start),
            torch.from_numpy(batch.motion),
            torch.from_numpy(batch.vectors),
            torch.from_numpy(batch.actions),
            torch.from_numpy(batch.touched),
            pair,
        )
        loss = total(parts, config.weights)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * schedule(self.step, config)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), config.clip)
        self.optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.target.parameters(), self.module.encoder.parameters(), strict=True):
                slow.lerp_(fast, 1.0 - config.ema)
        self.step += 1
        return {"loss": loss.item(), **{name: part.item() for name, part in parts.items()}}

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Write a checkpoint in one move."""
        partial = path.with_suffix(f".{os.getpid()}.partial")
        torch.save(
            {
                "format": CHECKPOINT_FORMAT,
                "config": asdict(self.config),
                "step": self.step,
                "module": self.module.state_dict(),
                "target": self.target.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "about": json.dumps(about),
            },
            partial,
        )
        partial.replace(path)

    def spread(self, windows: Windows, count: int = 1024) -> tuple[float, float]:
        """Mean deviation and effective rank of the local codes of `count` observations, always the same ones."""
        rows = windows.starts[np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(np.int64)]
        with torch.no_grad():
            codes = self.module.encoder.local(torch.from_numpy(windows.vectors[rows, :RANGES]))  # [N, L]
        return float(codes.std(dim=0).mean()), effective_rank(codes.numpy())

    def restore(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint of the same config; returns what was saved about the run."""
        state = read_checkpoint(path)
        if state["config"] != asdict(self.config):
            raise BridgeError(
                "checkpoint-other",
                f"{path} belongs to another run: expected {asdict(self.config)}, got {state['config']}",
                "train into another folder, or with the settings of this run",
                status=Exit.USAGE,
            )
        self.step = state["step"]
        self.module.load_state_dict(state["module"])
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        about: dict[str, Any] = json.loads(state["about"])
        return about


def train(
    shards: Sequence[Path],
    out_dir: Path,
    config: TrainConfig,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    threads: int = 1,
) -> Path:
    """Train, or go on training, in `out_dir`; returns the checkpoint. An interrupt saves before it goes on its way."""
    torch.set_num_threads(threads)
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / CHECKPOINT
    windows, held_out, data = load(shards, config.horizon)
    trainer = Trainer(config)
    about: dict[str, Any] = {"seconds": 0.0, "means": {}, "history": [], "alarms": []}
    if path.exists():
        about |= trainer.restore(path)
    about |= {"data": data, "threads": threads}
    (out_dir / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")

    began, first, before_s = time.monotonic(), trainer.step, about["seconds"]
    means: dict[str, float] = about["means"]  # running, over about 50 steps
    keep_every = max(1, config.steps // HISTORY_POINTS)
    alarm = ""
    try:
        while trainer.step < config.steps:
            parts = trainer.advance(windows)
            for name, value in parts.items():
                means[name] = value if name not in means else 0.98 * means[name] + 0.02 * value
            if not math.isfinite(parts["loss"]):
                raise BridgeError("training-diverged", f"the loss is {parts['loss']} at step {trainer.step}")
            spent_s = time.monotonic() - began
            about["seconds"] = round(before_s + spent_s, 1)
            if trainer.step % keep_every == 0:
                about["history"].append({"step": trainer.step, **{name: round(m, 5) for name, m in means.items()}})
            if trainer.step >= CHECK_FROM and trainer.step % CHECK_EVERY == 0:
                alarm = collapse_alarm(*trainer.spread(windows), trainer.step, about["alarms"])
            if progress and trainer.step % SHOW_EVERY == 0:
                eta_s = round(spent_s / (trainer.step - first) * (config.steps - trainer.step))
                losses_now = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
                progress(trainer.step, config.steps, f"{alarm}{eta_s} s left  {losses_now}")
            if trainer.step % config.checkpoint_every == 0 and trainer.step < config.steps:
                trainer.save(path, about)
    except KeyboardInterrupt:
        trainer.save(path, about)
        raise
    about["prediction"] = validate(trainer.module, held_out)
    trainer.save(path, about)
    return path


def collapse_alarm(deviation: float, rank: float, step: int, alarms: list[dict[str, float]]) -> str:
    """Note a collapsed code in `alarms`, for the card; returns a warning for the progress line, or nothing."""
    if deviation >= LEAST_DEVIATION and rank >= LEAST_RANK:
        return ""
    alarms.append({"step": step, "deviation": round(deviation, 4), "rank": round(rank, 2)})
    return (
        f"WARNING the code collapses: deviation {deviation:.2f} (least {LEAST_DEVIATION}), "
        f"rank {rank:.1f} (least {LEAST_RANK:g})  "
    )


def schedule(step: int, config: TrainConfig) -> float:
    """Factor on the learning rate: a short linear warm-up, then half a cosine down to a fiftieth."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents; `weights_only`, because a pickle from elsewhere could run code."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = state["format"]
    except Exception as error:  # torch raises many kinds for a broken file
        raise BridgeError(
            "checkpoint-unreadable", f"{path} cannot be read: {error}", "train again", status=Exit.USAGE
        ) from error
    if found != CHECKPOINT_FORMAT:
        raise BridgeError(
            "checkpoint-unreadable",
            f"{path}: expected checkpoint format {CHECKPOINT_FORMAT}, got {found}",
            "train again",
            status=Exit.USAGE,
        )
    return state


def load_module(path: Path) -> tuple[WorldModule, dict[str, Any]]:
    """The trained module in evaluation mode, and the checkpoint."""
    state = read_checkpoint(path)
    module = WorldModule(state["config"]["tier"])
    module.load_state_dict(state["module"])
    return module.eval(), state
