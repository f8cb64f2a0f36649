"""The live status of a drive in the terminal: what the robot senses, what the planner thinks, how the link does.

A thread of its own draws it: a terminal that is held (Ctrl-S) or slow must not hold the control loop.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jepa_bridge.types import RANGE_BEARINGS_RAD

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from jepa_bridge.drive.report import Snapshot

# a compass of the eight sensors: row and column of each in RANGE_NAMES' order, nose up
_PLACES = ((0, 1), (0, 0), (0, 2), (1, 0), (1, 2), (2, 0), (2, 2), (2, 1))
_NEAR_M, _CLOSE_M = 0.25, 0.6
_PLAIN_PERIOD_S = 1.0
JOIN_S = 1.0  # how long a held terminal may hold up the end of the program


class Status:
    """Draws snapshots: a panel on a terminal, one line a second elsewhere, nothing when `quiet`."""

    def __init__(self, *, port: str, model: str, quiet: bool, journal: bool = False) -> None:
        """`journal`: notes begin with their priority, and there is no line a second; the log has it all."""
        self._note_prefix = "<5>" if journal else ""
        self._console = Console(file=sys.stderr)
        self._title = f"{port}  model {model}"
        self._quiet = quiet or journal
        self._live: Live | None = None
        self._next_line_s = 0.0
        self._snapshot: Snapshot | None = None
        self._notes: deque[str] = deque(maxlen=50)
        self._due = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._due.set()
        self._thread.join(JOIN_S)
        if self._live is not None and not self._thread.is_alive():
            self._live.stop()

    def note(self, text: str) -> None:
        """A line that stays: something a person should know, once."""
        self._notes.append(text)
        self._due.set()

    def update(self, snapshot: Snapshot) -> None:
        """Show this snapshot next; one that was not drawn yet is forgotten."""
        self._snapshot = snapshot
        self._due.set()

    def _run(self) -> None:
        while not self._ended:
            self._due.wait()
            self._due.clear()
            while self._notes:
                self._console.print(
                    self._note_prefix + self._notes.popleft(), highlight=False, markup=False, soft_wrap=True
                )
            if self._snapshot is not None:
                self._draw(self._snapshot)

    def _draw(self, snapshot: Snapshot) -> None:
        if self._live is not None:
            self._live.update(panel(snapshot, self._title), refresh=True)
        elif not self._quiet and snapshot.elapsed_s >= self._next_line_s:
            self._next_line_s = snapshot.elapsed_s + _PLAIN_PERIOD_S
            self._console.print(line(snapshot), highlight=False, markup=False, soft_wrap=True)


def line(snapshot: Snapshot) -> str:
    """One line for pipes and logs."""
    observation, decision = snapshot.observation, snapshot.decision
    parts = [f"{snapshot.elapsed_s:6.1f} s"]
    if observation is not None:
        heading_deg = math.degrees(observation.heading_rad)
        parts.append(f"x {observation.x_m:5.2f} m  y {observation.y_m:5.2f} m  heading {heading_deg:4.0f} deg")
        if snapshot.goal is not None:
            parts.append(f"goal {snapshot.goal.distance_m(observation):5.2f} m")
    if snapshot.confidence is not None:
        parts.append(f"confidence {snapshot.confidence:.2f}")
    if decision is not None:
        parts.append(f"{decision.source.value} {decision.command.left:+.2f} {decision.command.right:+.2f}")
    parts.append(f"link {snapshot.health.value}")
    return "  ".join(parts)


def panel(snapshot: Snapshot, title: str) -> Panel:
    """The whole picture on a terminal."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim")
    table.add_column(min_width=46)
    observation, decision, stats = snapshot.observation, snapshot.decision, snapshot.stats
    if observation is None:
        table.add_row("pose", "waiting for the first SENSOR frame")
    else:
        heading_deg = math.degrees(observation.heading_rad)
        table.add_row("pose", f"x {observation.x_m:.2f} m   y {observation.y_m:.2f} m   heading {heading_deg:.0f} deg")
    if snapshot.goal is None:
        table.add_row("goal", "none left" if snapshot.progress.goals_reached else "none given: --goal X,Y")
    elif observation is not None:
        goal = snapshot.goal
        table.add_row("goal", f"{goal.x_m:g}, {goal.y_m:g}   {goal.distance_m(observation):.2f} m to go")
    if snapshot.confidence is not None:
        style = "green" if snapshot.confidence >= 0.5 else "yellow"
        table.add_row("confidence", Text(_bar(snapshot.confidence), style=style))
    if decision is not None:
        wheels = f"{decision.command.left:+.2f} {decision.command.right:+.2f}"
        table.add_row("wheels", f"{wheels}   from {decision.source.value}")
    state = "unknown" if snapshot.state is None else snapshot.state.name.lower()
    rtt_ms = None if stats.rtt_us is None else stats.rtt_us / 1000
    table.add_row(
        "link",
        f"{snapshot.health.value}   robot {state}   round trip {_ms(rtt_ms)}   "
        f"bad {stats.frames_bad}   missed {stats.missed_frames}   garbage {stats.garbage_bytes} B",
    )
    loop = f"plan {_ms(snapshot.plan_ms)}   tick p99 {_ms(snapshot.tick_ms)}   {snapshot.progress.plans} plans"
    table.add_row("loop", loop)
    table.add_row("driven", f"{snapshot.progress.distance_m:.2f} m in {snapshot.elapsed_s:.0f} s")
    if observation is None:
        return Panel(table, title=title, title_align="left")
    return Panel(Group(_ranges(observation.ranges_m), table), title=title, title_align="left")


def _ranges(ranges_m: tuple[float | None, ...]) -> Table:
    cells: list[list[Text]] = [[Text("") for _ in range(3)] for _ in range(3)]
    cells[1][1] = Text("^", style="bold")
    for (row, column), range_m, _ in zip(_PLACES, ranges_m, RANGE_BEARINGS_RAD, strict=True):
        if range_m is None:
            cells[row][column] = Text("silent", style="magenta")
        else:
            style = "red" if range_m < _NEAR_M else "yellow" if range_m < _CLOSE_M else "green"
            cells[row][column] = Text(f"{range_m:.2f} m", style=style)
    grid = Table.grid(padding=(0, 3))
    for _ in range(3):
        grid.add_column(justify="center", min_width=8)
    for row_cells in cells:
        grid.add_row(*row_cells)
    return grid


def _bar(value: float, width: int = 20) -> str:
    filled = round(max(0.0, min(1.0, value)) * width)
    return "#" * filled + "." * (width - filled) + f" {value:.2f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
