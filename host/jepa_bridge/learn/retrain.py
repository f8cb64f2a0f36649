"""A bundle that drives, made into one that knows its robot or its place better. Read `retrain` from top to bottom.

    outcome = retrain(shards, Path("models/small"), Path("work"), RetrainConfig())
    if not outcome.worse:
        publish(outcome.bundle, Path("models/mine"))

The base's weights are read back from its ONNX graphs, so a bundle is all that is needed. Its own drives are mixed with
twin drives of a robot like the one that drove (learn/identify.py): fine-tuning on a few minutes of one room alone
forgets every other (catastrophic interference, McCloskey & Cohen 1989; rehearsal, Ratcliff 1990).
Everything that takes long is kept in the work folder, so the same call goes on after an interrupt.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from jepa_bridge.errors import BridgeError, Exit
from jepa_bridge.learn.collect import Simulator, collect, twin_sim
from jepa_bridge.learn.dataset import Windows, fingerprint, split
from jepa_bridge.learn.evaluate import evaluate
from jepa_bridge.learn.export import export
from jepa_bridge.learn.identify import Like, identify
from jepa_bridge.learn.page import PLOTS, write_page
from jepa_bridge.learn.restore import module_from_bundle
from jepa_bridge.learn.train import CHECKPOINT, TrainConfig, Trainer, load_module, train
from jepa_bridge.learn.validate import validate
from jepa_bridge.learn.wayfinding import attach, learn_lift, learn_way
from jepa_bridge.learn.ways import solve_ways, visited
from jepa_bridge.learn.waytogo import summary, way_to_go
from jepa_bridge.world.bundle import World, read_card
from jepa_bridge.world.card import CARD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jepa_bridge.learn.model import WorldModule

MIX_ARENAS = {"cluttered": 0.6, "open": 0.15, "doorway": 0.25}  # of the twin drives
REPEATS_MAX = 50  # of one's own drives: beyond, they are learned by heart
PREDICTION_SLACK = 1.1  # errors on few held-out drives wander by about so much from seed to seed
EVALUATION_SEED = 4001  # apart from what `eval` reports by default, so that nothing is chosen on those episodes


@dataclass(frozen=True, slots=True)
class RetrainConfig:
    """One retraining. The learning rate is a quarter of the recipe's: the base is worth keeping."""

    steps: int = 2500
    learning_rate: float = 5e-4
    own_share: float = 0.5  # of the windows, from one's own drives
    mix_episodes: int = 300  # twin drives to mix in
    seed: int = 0
    place: bool = False  # all drives were in one place: learn the way to go there
    arena: str = "cluttered"  # where base and candidate are compared
    map_seed: int | None = None  # in this one map of it
    across: bool = False  # with goals in the other room only
    episodes: int = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out. `worse`: in words, why the candidate should not replace its base; empty if it may."""

    bundle: Path
    worse: tuple[str, ...]
    facts: dict[str, Any]


def retrain(
    own: Sequence[Path],
    base: Path,
    work: Path,
    config: RetrainConfig,
    *,
    mix: Sequence[Path] | None = None,
    make_sim: Callable[[str, int, Any], Simulator] | None = None,
    commands: Sequence[str] = (),
    workers: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> Outcome:
    """Fine-tune `base` on the shards `own`; the candidate and how it compares lie in `work` afterwards.

    `mix` are shards that the base was trained on, or like them; None: drives of a robot like this one are collected.
    `make_sim` makes the robots that base and candidate are compared on; None: robots like this one.
    """
    card = read_card(base)
    module = module_from_bundle(base)
    module.live(None)  # where the base lived says nothing about the place of these drives
    robot = identify(own)
    like = twin_sim if robot is None else Like(robot)

    if mix is None:
        mix = []
        for arena, share in MIX_ARENAS.items():
            # as if randomised, so that no shard passes for one of the twin as drawn
            count = math.ceil(share * config.mix_episodes)
            mix += collect(
                arena, count, work / "mix", config.seed, workers, randomised=1.0, make_sim=like, progress=progress
            )

    train_config = TrainConfig(tier=card.tier, steps=config.steps, learning_rate=config.learning_rate, seed=config.seed)
    run = work / "run"
    if not (run / CHECKPOINT).exists():
        begin(module, train_config, run)
    repeats = _repeats(own, mix, config.own_share)
    checkpoint = train([*list(own) * repeats, *mix], run, train_config, progress=progress)

    candidate = work / "candidate"
    export(checkpoint, candidate, commands=commands)
    if config.place:
        ways = solve_ways(visited(own))
        way, lift = learn_way(ways, seed=config.seed, progress=progress), learn_lift(ways, seed=config.seed)
        facts = {"places": len(ways.centres), "connected": round(ways.connected, 4)}
        attach(candidate, load_module(checkpoint)[0], way, lift, facts)

    lived, held_out, about = split(own)
    about |= {"sha256": fingerprint(own), "transitions": sum(len(drive.actions) for drive in lived)}
    prediction = {
        name: _at_horizon(validate(which, Windows(held_out, train_config.horizon)))
        for name, which in (("base", module), ("candidate", load_module(checkpoint)[0]))
    }
    closed_loop = {
        name: _drive(World.load(bundle), config, make_sim or like, workers, progress)
        for name, bundle in (("base", base), ("candidate", candidate))
    }
    ranks = _way(World.load(candidate), config)
    worse = _worse(prediction, closed_loop, config.episodes)
    outcome: dict[str, Any] = {
        "base": card.hash,
        "settings": asdict(config),
        "robot": None if robot is None else asdict(robot),
        "repeats": repeats,
        "prediction_held_out": prediction,
        "closed_loop": closed_loop,
        "way": ranks,
        "worse": list(worse),
    }
    written = read_card(candidate)
    names = sorted({path.name for path in (*own, *mix)} | set(card.data.get("names", ())))
    maps = {} if config.map_seed is None else {"arena_seeds": {config.arena: [config.map_seed]}}
    data = {**about, **maps, "names": names, "base": card.hash}
    written = dataclasses.replace(written, data=data, metrics={**written.metrics, "retrained": outcome})
    written.write(candidate)
    return Outcome(candidate, worse, outcome)


def begin(module: WorldModule, config: TrainConfig, run: Path) -> None:
    """A training run's checkpoint at step 0 that starts from `module`; `train` goes on from there."""
    trainer = Trainer(config)
    trainer.module.load_state_dict(module.state_dict())
    trainer.target.load_state_dict(module.encoder.state_dict())
    run.mkdir(parents=True, exist_ok=True)
    trainer.save(run / CHECKPOINT, {})


def publish(candidate: Path, out: Path) -> None:
    """Put the bundle in place of an older one: the card last, until then the old card refuses the new graphs."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (*read_card(candidate).files, CARD):
        _replace(out / name, (candidate / name).read_bytes())
    for plot in PLOTS:  # of the model that was here before, or of this one
        (out / plot).unlink(missing_ok=True)
        if (candidate / plot).exists():
            _replace(out / plot, (candidate / plot).read_bytes())
    write_page(out)


def refusal(outcome: Outcome) -> BridgeError:
    """What is said about a candidate that is worse than its base."""
    return BridgeError(
        "retrain-worse",
        f"the retrained model is worse than its base: {'; '.join(outcome.worse)}",
        f"it is in {outcome.bundle}, not in its place; retrain on more drives, or take it all the same with --force",
        status=Exit.MODEL_WORSE,
    )


def _repeats(own: Sequence[Path], mix: Sequence[Path], share: float) -> int:
    """How often to show one's own drives so that they make up `share` of the windows."""
    sizes = [sum(len(drive.actions) for drive in split(shards)[0]) if shards else 0 for shards in (own, mix)]
    return min(REPEATS_MAX, max(1, round(share / (1.0 - share) * sizes[1] / max(sizes[0], 1))))


def _at_horizon(found: dict[str, Any]) -> dict[str, float]:
    """Of the errors at each step those of the last."""
    last = {name: found[name][-1] for name in ("position_m", "heading_deg", "ranges_m")}
    return {"windows": found["windows"], **last}


def _drive(
    world: World,
    config: RetrainConfig,
    make_sim: Callable[[str, int, Any], Simulator],
    workers: int,
    progress: Callable[[int, int, str], None] | None,
) -> dict[str, Any]:
    report = evaluate(
        world,
        config.arena,
        config.episodes,
        EVALUATION_SEED,
        planners=("model",),
        across=config.across,
        arena_seed=config.map_seed,
        known_map=config.map_seed is not None,
        workers=workers,
        make_sim=make_sim,
        progress=progress,
    )
    names = ("reached", "reached_low", "reached_high", "contacts_per_episode", "path_ratio")
    return {name: getattr(report.rows[0], name) for name in names}


def _way(world: World, config: RetrainConfig) -> dict[str, Any] | None:
    """How the ways that a place's bundle knows rank beside the true ones, where the twin can tell the true ones."""
    if config.map_seed is None or not world.knows_the_way:
        return None
    maps = [config.map_seed]
    return {
        "learned": summary(way_to_go(world.encode, config.arena, maps, goals=48, distance=world.way_to_go)),
        "embedding_distance": summary(way_to_go(world.encode, config.arena, maps, goals=48)),
    }


def _worse(prediction: dict[str, Any], closed_loop: dict[str, Any], episodes: int) -> tuple[str, ...]:
    """Reasons against the candidate, each beyond what chance explains."""
    old, new = closed_loop["base"], closed_loop["candidate"]
    reasons = []
    if new["reached"] < old["reached_low"]:
        reasons.append(
            f"it reaches {100 * new['reached']:.1f} % of the goals, its base {100 * old['reached']:.1f} % "
            f"({100 * old['reached_low']:.1f} to {100 * old['reached_high']:.1f})"
        )
    touched, touched_before = new["contacts_per_episode"], old["contacts_per_episode"]
    if touched > touched_before + 2.0 * math.sqrt((touched + touched_before) / episodes):  # two deviations of a count
        reasons.append(f"it touches {touched:.2f} times an episode, its base {touched_before:.2f} times")
    for name, unit in (("position_m", "m"), ("heading_deg", "degrees")):
        is_now, was = prediction["candidate"][name], prediction["base"][name]
        if is_now > PREDICTION_SLACK * was:
            reasons.append(f"on held-out drives it errs by {is_now:.3f} {unit} after 2 s, its base by {was:.3f} {unit}")
    return tuple(reasons)


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
