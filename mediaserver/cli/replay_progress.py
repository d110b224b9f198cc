"""The progress of a replay: a line with a bar and figures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column

from mediaserver.cli.replay_summary import Summary
from mediaserver.errors import UserError


@contextlib.contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A line that fits 80 columns. An error before the first result removes the line."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=Column(no_wrap=True, max_width=console.width // 7)),
        BarColumn(console.width // 12),
        _TimeColumn(),
        TextColumn("{task.fields[numbers]}"),
        console=console,
    ) as progress:
        try:
            yield progress
        except UserError:
            if not any(task.completed for task in progress.tasks):
                progress.live.transient = True
                progress.live.stop()
                progress.disable = True  # where there is no terminal, it would end with an empty line
            raise


class _TimeColumn(ProgressColumn):
    """The time left, or the time passed if the duration is unknown."""

    def render(self, task: Task) -> str:
        if left := task.time_remaining:
            return f"{timedelta(seconds=int(left))} left"
        return str(timedelta(seconds=int(task.elapsed or 0.0)))


def numbers(summary: Summary) -> str:
    """The figures beside the bar."""
    age = summary.ages_ms[-1] if summary.ages_ms else None
    return (
        f"{summary.results} results, {summary.inference_fps:.1f}/s, "
        f"{'' if age is None else f'{age:.0f} ms old, '}{sum(summary.dropped.values())} dropped"
    )
