"""The card for people: a bundle's README.md, drawn from its card.json and never edited by hand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from jepa_bridge.world.bundle import read_card

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from jepa_bridge.learn.evaluate import Report
    from jepa_bridge.world.card import Card

PAGE = "README.md"
LOSS_PLOT, ERROR_PLOT, DISTANCE_PLOT, CALIBRATION_PLOT = "loss.png", "error.png", "distance.png", "calibration.png"
SAMPLING_PLOT = "sampling.png"
PLOTS = {  # all that may lie beside a card
    LOSS_PLOT: "Losses while training.",
    ERROR_PLOT: "Errors over the horizon, with the 90 % bands.",
    DISTANCE_PLOT: "Embedding distance against the way around the obstacles.",
    CALIBRATION_PLOT: "What confidence said against what came true.",
    SAMPLING_PLOT: "Success and wheel jerk over milliseconds a plan, for each way to sample.",
}
LIMITS = (
    "One observation is all it knows: an obstacle between two rays, or behind another, is not in it.",
    "Trained on a simulated robot (twin/robot.py) and on variations of it; not measured on hardware. "
    "`jepa-bridge retrain` makes it a model of your robot.",
    "Positions are those of a 5 x 5 m floor.",
    "Confidence is calibrated on drives like those it was trained on; elsewhere it is a guess.",
    "It is not a safety device: the firmware's expiry stops the wheels, and people need a hardware stop.",
)


def evaluation(report: Report, *, dynamics: float, across: bool, arena_seed: int | None) -> tuple[str, dict[str, Any]]:
    """What a report is called in a card, and what is kept of it."""
    name = report.arena
    name += "" if arena_seed is None else f", map {arena_seed}"
    name += ", goal in the other room" if across else ""
    name += f", dynamics {100 * dynamics:g} % off" if dynamics else ""
    rows = []
    for row in report.to_json()["rows"]:
        row["missed"] = len(row["missed"])
        rows.append(row)
    return name, {"episodes": report.episodes, "seed": report.seed, "rows": rows}


def merge(kept: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Rows of the same episodes belong into one table; other episodes replace it."""
    if kept is None or (kept["episodes"], kept["seed"]) != (new["episodes"], new["seed"]):
        return new
    names = {row["planner"] for row in new["rows"]}
    return {**new, "rows": [row for row in kept["rows"] if row["planner"] not in names] + new["rows"]}


def keep_evaluation(bundle: Path, name: str, found: dict[str, Any]) -> None:
    """Into the card and onto the page."""
    kept = read_card(bundle).metrics.get("evaluation", {})
    update_metrics(bundle, {"evaluation": {**kept, name: merge(kept.get(name), found)}})


def update_metrics(bundle: Path, metrics: dict[str, Any]) -> Card:
    """Add figures to a bundle's card and page. The model's hash stays: it is over the graphs."""
    card = read_card(bundle)
    card = dataclasses.replace(card, metrics={**card.metrics, **metrics})
    card.write(bundle)
    write_page(bundle)
    return card


def write_page(bundle: Path) -> None:
    """Write the page from the card."""
    card = read_card(bundle)
    lines = [f"# {bundle.resolve().name}", "", *_what(card), *_driving(card.metrics), *_retrained(card.metrics)]
    lines += [*_prediction(card.metrics), *_ablation(card.metrics), *_sampling(card.metrics), *_made(card)]
    lines += ["## Limits", "", *(f"- {limit}" for limit in LIMITS), ""]
    drawn = [f"![{what}]({name})" for name, what in PLOTS.items() if (bundle / name).exists()]
    lines += ["## Plots", "", *drawn, ""] if drawn else []
    lines.append("This page is drawn from [card.json](card.json), which holds every figure.")
    (bundle / PAGE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _what(card: Card) -> list[str]:
    counts = ", ".join(f"{name} {number:,}" for name, number in card.parameters.items())
    return [
        f"Tier {card.tier}: embeddings of {card.embedding_dim} numbers, steps of {card.step_s} s.",
        f"Parameters: {counts}.",
        "",
        *_table(("file", "SHA-256"), ((name, f"`{digest[:16]}…`") for name, digest in card.files.items())),
        "`jepa-bridge` refuses the bundle if a file does not have its hash.",
        "",
    ]


def _driving(metrics: dict[str, Any]) -> list[str]:
    lines = []
    for name, found in metrics.get("evaluation", {}).items():
        rows = [
            (
                row["planner"],
                _reached(row),
                f"{row['contacts_per_episode']:.3f}",
                "-" if row["path_ratio"] is None else f"{row['path_ratio']:.2f}",
                f"{row['jerk']:.2f}",
            )
            for row in found["rows"]
        ]
        headings = ("planner", "reached %, 95 % interval", "contacts an episode", "way / shortest way", "wheel jerk")
        lines += [
            f"### {name}: {found['episodes']} held-out episodes, seed {found['seed']}",
            "",
            *_table(headings, rows),
        ]
    if not lines:
        return []
    explained = (
        "Reached: standing within 0.25 m of the goal after at most 100 steps of 0.2 s, in maps never trained in unless "
        "a map is named. `model` drives the default cost, `contract_cost` the embedding distance alone, `random` and "
        "`straight` are floors, `oracle` plans on the true dynamics."
    )
    return ["## Driving", "", explained, "", *lines]


def _retrained(metrics: dict[str, Any]) -> list[str]:
    found = metrics.get("retrained")
    if not found:
        return []
    rows = [
        (f"{part}: {name}", was, found[part]["candidate"].get(name))
        for part in ("closed_loop", "prediction_held_out")
        for name, was in found[part]["base"].items()
    ]
    lines = ["## Against the model it was retrained from", "", *_table(("figure", "before", "after"), rows)]
    if found.get("way"):
        ways = [(name, *(figures.get(key, "-") for key in _WAY_KEYS)) for name, figures in found["way"].items()]
        lines += ["Rank correlation with the true way to go:", "", *_table(("", *_WAY_KEYS), ways)]
    return lines


_WAY_KEYS = ("pairs", "spearman", "pairs_across_wall", "spearman_across_wall")


def _prediction(metrics: dict[str, Any]) -> list[str]:
    found = metrics.get("prediction")
    if not found:
        return []
    kinds = {"all robots": found, **{f"robots {name}": part for name, part in found.get("by_robot", {}).items()}}
    columns = ("position_m", "heading_deg", "ranges_m", "ranges_seen_m", "ranges_seen_median_m")
    rows = [(kind, *(part[key][-1] if key in part else "-" for key in columns)) for kind, part in kinds.items()]
    lines = ["## Prediction", "", "Mean errors after the horizon (2 s) on drives it never saw.", ""]
    lines += _table(("", *columns), rows)
    sure = metrics.get("confidence")
    if sure:
        plan = sure["plan"]
        covered = {key: value for key, value in metrics["bands"].items() if key.endswith("_coverage")}
        rows = [
            ("expected calibration error", sure["ece"]),
            (f"AUROC of “{plan['event']}”", plan["auroc"]),
            ("the same over all horizons", plan["auroc_all_horizons"]),
            ("the same, knowing only the horizon", plan["auroc_all_horizons_horizon_only"]),
            *((f"90 % band, {key.removesuffix('_coverage')}: covered", _span(value)) for key, value in covered.items()),
        ]
        lines += ["### Confidence", "", *_table(("figure", "value"), rows)]
    if "way_to_go" in metrics:
        rows = [(arena, *(part.get(key, "-") for key in _WAY_KEYS)) for arena, part in metrics["way_to_go"].items()]
        lines += ["### Embedding distance as way to go", "", *_table(("arena", *_WAY_KEYS), rows)]
    return lines


def _span(values: Sequence[float]) -> str:
    return f"{100 * min(values):.1f} to {100 * max(values):.1f} %"


def _ablation(metrics: dict[str, Any]) -> list[str]:
    found = metrics.get("ablation")
    if not found:
        return []
    rows = [
        (
            row["variant"],
            *(row[key] for key in ("position_m", "heading_deg", "ranges_m", "way_spearman")),
            *(
                f"{100 * row[key]['reached']:.0f} [{100 * row[key]['low']:.0f}, {100 * row[key]['high']:.0f}]"
                for key in ("model", "contract_cost")
            ),
            row["model"]["contacts_per_episode"],
        )
        for row in found["rows"]
    ]
    headings = ("recipe", "position m", "heading deg", "ranges m", "way", "reached %", "contract's cost %", "contacts")
    terms = f"{found['steps']} steps each, {found['episodes']} episodes in {found['arena']}, seed {found['seed']}"
    return ["## What each part of the recipe is worth", "", f"{terms}; errors after 2 s.", "", *_table(headings, rows)]


def _sampling(metrics: dict[str, Any]) -> list[str]:
    found = metrics.get("sampling")
    if not found:
        return []
    rows = [
        (
            row["way"],
            f"{row['samples']} x {row['iterations']}",
            _reached(row),
            f"{row['contacts_per_episode']:.3f}",
            f"{row['jerk']:.3f}",
            "-" if row["plan_ms"] is None else f"{row['plan_ms']:.2f}",
        )
        for row in found["rows"]
    ]
    headings = ("way", "samples x iterations", "reached % [95 %]", "contacts", "jerk", "ms a plan")
    terms = (
        f"{found['episodes']} held-out episodes in {found['arena']}, seed {found['seed']}; one thread, x86 server core"
    )
    return ["## Ways to sample", "", f"{terms}.", "", *_table(headings, rows)]


def _reached(row: dict[str, Any]) -> str:
    return f"{100 * row['reached']:.1f} [{100 * row['reached_low']:.1f}, {100 * row['reached_high']:.1f}]"


def _made(card: Card) -> list[str]:
    training, data = card.training, card.data
    lines = ["## How it was made", ""]
    if card.commands:
        lines += ["```sh", *card.commands, "```", ""]
    facts = [
        ("transitions", f"{data['transitions']:,}" if "transitions" in data else "-"),
        ("episodes", ", ".join(f"{arena} {number}" for arena, number in data.get("episodes", {}).items()) or "-"),
        ("fingerprint of the data", f"`{data['sha256'][:16]}…`" if "sha256" in data else "-"),
        ("seeds", ", ".join(f"{name} {seed}" for name, seed in card.seeds.items()) or "-"),
        ("steps", training.get("steps_done", "-")),
        ("training time", _time(training)),
        ("collapse alarms", len(training.get("collapse_alarms", []))),
    ]
    return [*lines, *_table(("", ""), facts)]


def _time(training: dict[str, Any]) -> str:
    if not training.get("seconds"):
        return "-"
    return f"{training['seconds'] / 60:.0f} min on {training['threads']} thread(s)"


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table, and the empty line after it."""
    lines = [f"| {' | '.join(headings)} |", f"|{'|'.join(['---'] * len(headings))}|"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]
