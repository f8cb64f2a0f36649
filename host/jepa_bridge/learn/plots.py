"""A model's figures as pictures beside its card. matplotlib only here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from jepa_bridge.learn.collect import STEP_S
from jepa_bridge.learn.page import CALIBRATION_PLOT, DISTANCE_PLOT, ERROR_PLOT, LOSS_PLOT

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from jepa_bridge.learn.report import Findings

# Okabe and Ito's colours: told apart by everybody
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#777777"
COLOURS = {"all": BLUE, "drawn": GREEN, "randomised": ORANGE}
LABELS = {"all": "all robots", "drawn": "robot as drawn", "randomised": "randomised robots"}
DPI = 110


def draw(findings: Findings, folder: Path) -> list[Path]:
    """Write all plots that there are figures for; returns their paths."""
    paths = [
        draw_errors(findings.metrics, folder / ERROR_PLOT),
        draw_ways(findings, folder / DISTANCE_PLOT),
        draw_calibration(findings, folder / CALIBRATION_PLOT),
    ]
    if findings.history:
        paths.append(draw_losses(findings.history, folder / LOSS_PLOT))
    return paths


def draw_losses(history: list[dict[str, float]], path: Path) -> Path:
    """Each part of the loss over the steps, on a logarithmic scale."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    steps = [point["step"] for point in history]
    names = [name for name in history[-1] if name != "step"]
    for index, name in enumerate(sorted(names, key=lambda name: -history[-1][name])):
        whole = name == "loss"
        colour = "black" if whole else f"C{index}"
        values = [point.get(name, np.nan) for point in history]
        axes.plot(steps, values, color=colour, linewidth=2.0 if whole else 1.2, label=f"{name}  {values[-1]:.3g}")
    axes.set(yscale="log", xlabel="training step", ylabel="loss, running mean", title="Losses")
    axes.set_xlim(0, steps[-1])
    figure.legend(loc="outside right upper", title="part, at the end", frameon=False)
    return _save(figure, [axes], path)


def draw_errors(metrics: dict[str, Any], path: Path) -> Path:
    """Position in cm, heading in degrees and ranges in cm over the horizon, with the 90 % bands."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    prediction, bands = metrics["prediction"], metrics["bands"]
    kinds = {"all": prediction, **prediction["by_robot"]}
    seconds = STEP_S * np.arange(1, len(prediction["position_m"]) + 1)
    for axes, name, factor, unit, title in (
        (panels[0], "position_m", 100.0, "cm", "Position"),
        (panels[1], "heading_deg", 1.0, "degrees", "Heading"),
        (panels[2], "ranges_m", 100.0, "cm", "Ranges, mean over the sensors"),
    ):
        if name != "ranges_m":  # the robot hardly matters to what a sensor sees: one line says it all
            radius = factor * np.array(bands[name])
            axes.fill_between(seconds, 0.0, radius, color=BLUE, alpha=0.12, linewidth=0, label="90 % band")
        for kind, figures in kinds.items():
            if name != "ranges_m":
                axes.plot(seconds, factor * np.array(figures[name]), color=COLOURS[kind], label=LABELS[kind])
        axes.set(xlabel="seconds ahead", ylabel=f"mean error in {unit}", title=title)
    ranges = panels[2]
    ranges.plot(seconds, 100.0 * np.array(prediction["ranges_m"]), color=BLUE, label="all readings")
    ranges.plot(
        seconds, 100.0 * np.array(prediction["ranges_seen_m"]), color=RED, label="nothing hidden\ncomes into view"
    )
    for axes in panels:
        axes.set_xlim(0.0, seconds[-1])
        axes.set_ylim(bottom=0.0)
        axes.legend(frameon=False, loc="lower right" if axes is ranges else "upper left")
    return _save(figure, list(panels), path)


def draw_ways(findings: Findings, path: Path) -> Path:
    """Distance in the embedding against the way around the obstacles, a dot a pair, a panel an arena."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    panels = figure.subplots(1, len(findings.ways), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (arena, found) in zip(panels, findings.ways.items(), strict=True):
        for members, colour, label in ((~found.across, BLUE, "same room"), (found.across, RED, "across the wall")):
            if members.any():
                axes.plot(
                    found.path_m[members], found.embedding[members], ".", color=colour, alpha=0.35, markersize=4,
                    markeredgewidth=0, label=label,
                )  # fmt: skip
        figures = findings.metrics["way_to_go"][arena]
        text = f"Spearman {figures['spearman']:.3f}"
        if "spearman_across_wall" in figures:
            text += f"\nacross the wall {figures['spearman_across_wall']:.3f}"
            for handle in axes.legend(frameon=False, loc="upper left", markerscale=4).legend_handles:
                if handle is not None:
                    handle.set_alpha(1.0)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axes.text(0.97, 0.04, text, transform=axes.transAxes, ha="right", bbox=box)
        axes.set(xlabel="way around the obstacles in m", title=arena)
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
    panels[0].set_ylabel("distance in the embedding")
    return _save(figure, list(panels), path)


def draw_calibration(findings: Findings, path: Path) -> Path:
    """Whether what confidence says comes true, and whether the bands hold what they promise."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    said, true, share = (np.array(column) for column in zip(*findings.reliability, strict=True))
    confidence, bands = findings.metrics["confidence"], findings.metrics["bands"]
    left.plot((0, 1), (0, 1), color=GREY, linewidth=1, linestyle="--", label="perfectly calibrated")
    left.plot(said, true, color=BLUE, linewidth=1)
    # the dot's area says how many predictions it stands for
    left.scatter(said, true, s=12 + 500 * share, color=BLUE, alpha=0.6, linewidths=0, label="area: share of steps")
    plan = confidence["plan"]
    left.text(
        0.97, 0.04, f"ECE {confidence['ece']:.4f}\nAUROC of a plan {plan['auroc']:.3f}", transform=left.transAxes,
        ha="right",
    )  # fmt: skip
    left.set(xlabel="confidence", ylabel="share that came true", title="Within bounds and untouched", aspect="equal")
    left.set(xlim=(0, 1), ylim=(0, 1.02))
    left.legend(frameon=False, loc="upper left", markerscale=0.5)

    steps = np.arange(1, len(bands["position_m"]) + 1)
    level = 100.0 * bands["level"]
    right.axhspan(level - 2.0, level + 2.0, color=GREY, alpha=0.15, linewidth=0, label=f"{level:g} ± 2 %")
    for name, colour in (("position", BLUE), ("heading", GREEN), ("ranges", RED)):
        right.plot(steps, 100.0 * np.array(bands[f"{name}_coverage"]), "o-", markersize=4, color=colour, label=name)
    right.set(xlabel="step", ylabel="% of test errors within the band", title="Coverage of the 90 % bands")
    right.set_ylim(level - 10.0, 100.0)
    right.set_xticks(steps)
    right.legend(frameon=False, loc="lower left")
    return _save(figure, [left, right], path)


def draw_plan_times(report: dict[str, Any], path: Path) -> Path:
    """What `bench plan` found: every planner with its p99, and ours over the number of samples."""
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    panels = figure.subplots(1, 2) if report.get("scaling") else [figure.subplots()]
    rows = sorted(report["rows"], key=lambda row: -row["median_ms"])
    labels = [f"{row['planner']} ({row['tier']})" for row in rows]
    medians = np.array([row["median_ms"] for row in rows])
    above = np.array([row["p99_ms"] for row in rows]) - medians
    colours = [BLUE if row["planner"].startswith("ours") else GREY for row in rows]
    panels[0].barh(labels, medians, xerr=(0.0 * above, above), color=colours, error_kw={"linewidth": 1})
    panels[0].set(xlabel="ms a plan, median to p99", title=f"{report['threads']} thread(s)")
    for index, median in enumerate(medians):
        panels[0].annotate(f" {median:.2g}", (median, index), va="bottom", fontsize=8)
    if report.get("scaling"):
        grown = [row for row in report["scaling"] if row["horizon"] == rows[0]["horizon"]]
        samples = np.array(sorted({row["samples"] for row in grown}))
        times = np.array([next(row["median_ms"] for row in grown if row["samples"] == count) for count in samples])
        panels[1].loglog(samples, times, "o-", color=BLUE, label="ours")
        panels[1].loglog(samples, times[0] * samples / samples[0], "--", color=GREY, label="in proportion")
        panels[1].set(xlabel="samples", ylabel="ms a plan", title=f"Scaling, {rows[0]['horizon']} steps")
        panels[1].legend(frameon=False)
    return _save(figure, list(panels), path)


def _save(figure: Figure, panels: list[Axes], path: Path) -> Path:
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})  # no version in it: same figures, same bytes
    return path
