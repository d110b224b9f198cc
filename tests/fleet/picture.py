"""The fleet as a picture in the terminal: who is where, and what has happened."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tests.fleet.show import Show, State
from tests.fleet.stage import Viewer

KEYS = (
    "1 2 3: a node · k kill · d drain · s start · f fill · e empty · p pull its cable · c plug it in · "
    "x the front is away · q quit"
)
_COLOURS = {State.READY: "green", State.FULL: "yellow", State.DRAINING: "yellow", State.STARTING: "cyan"}
_WINDOW_S = 2.0
"""In which results are counted."""
_SILENT_S = 1.0
_LINES = 10


def picture(show: Show, told: Sequence[str], chosen: int | None = None) -> RenderableType:
    """``told`` is what has happened, newest last; ``chosen`` the number of the node that keys are about."""
    front = Text("the front: ") + (
        Text("Envoy leads", "green") if show.is_front_there else Text("away", "bold red")
    )
    parts: list[RenderableType] = [
        front,
        _nodes(show, chosen),
        _clients(show),
        Text("\n".join(told[-_LINES:])),
    ]
    if chosen is not None:
        parts.append(Text(KEYS, "dim"))
    return Panel(Group(*parts), title="a fleet on one machine", title_align="left")


def _nodes(show: Show, chosen: int | None) -> Table:
    table = Table(expand=True)
    for title in ("node", "address", "state", "load", "who is there"):
        table.add_column(title, ratio=1 if title == "who is there" else None)
    for node in show.nodes:
        here = Text(" ").join(_letter(show, viewer) for viewer in show.on(node))
        mark = "▶ " if node.number == chosen else ""
        state = Text(node.state, _COLOURS.get(node.state, "bold red"))
        crowd = Text(" " + "▪" * len(node.crowd), "dim")
        table.add_row(f"{mark}{node.number}", node.name, state, f"{node.load:.2f}", here + crowd)
    return table


def _clients(show: Show) -> Table:
    table = Table(expand=True)
    for title in ("client", "node", "results/s", "last result", "longest pause"):
        table.add_column(title)
    now = time.monotonic()
    for viewer in show.viewers:
        since = now - viewer.times[-1]
        rate = sum(at > now - _WINDOW_S for at in viewer.times) / _WINDOW_S
        pause = viewer.longest_gap_s(viewer.times[0], now)
        table.add_row(
            _letter(show, viewer),
            str(show.number_of(viewer.node)),
            f"{rate:.1f}",
            Text(f"{since:.1f} s ago", "bold red" if since > _SILENT_S else ""),
            f"{pause:.1f} s",
        )
    return table


def _letter(show: Show, viewer: Viewer) -> Text:
    is_silent = time.monotonic() - viewer.times[-1] > _SILENT_S
    return Text(show.name_of(viewer), "bold red" if is_silent else "bold green")
