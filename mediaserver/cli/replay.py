"""``mediaserver replay``: a recorded clip through the whole path, with progress and a summary."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from inference.stages import Stage
from mediaserver.cli.output import say, show
from mediaserver.client.annotate import write_annotated
from mediaserver.client.client import Channel, ClientError, ClientStats, InferenceClient
from mediaserver.errors import OutputError, writing
from signaling.messages import Error, Event, OcrEvent, PipelineConfig, Result, encode

DESCRIPTION = (
    "Plays a recorded clip into a server over real WebRTC, in real time, and shows what comes back. "
    "Ends with 1 where no result came."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to play, where to, and what to keep of it."""
    parser.add_argument("clip", type=Path, help="a video file, such as MP4: whatever PyAV reads")
    parser.add_argument(
        "--url",
        default="ws://127.0.0.1:8080/ws/inference",
        help="the server's WebSocket; default: %(default)s",
    )
    parser.add_argument(
        "--models",
        type=_stages,
        metavar="LIST",
        help=f"what to run, of {','.join(Stage)}; default: what the server runs unasked",
    )
    parser.add_argument(
        "--channel",
        type=Channel,
        choices=list(Channel),
        default=Channel.DATACHANNEL,
        help="how results come: on the video's connection or through the WebSocket; with jpeg pictures go "
        "through it too, for where UDP is blocked; default: %(default)s",
    )
    parser.add_argument("--token", help="session token, where the server asks for one")
    parser.add_argument(
        "--relay-only", action="store_true", help="send media through the server's TURN server, no other way"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write each result as a line of JSON")
    parser.add_argument("--annotate", type=Path, metavar="FILE", help="write the clip with results drawn in")
    parser.add_argument("--duration", type=_seconds, metavar="S", help="stop after S seconds of the clip")
    parser.add_argument("--json", action="store_true", help="print the summary as one line of JSON")


def _stages(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in set(Stage)]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: give a list of {','.join(Stage)}")
    return names


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of seconds above 0")
    return seconds


def run(parsed: argparse.Namespace) -> int:
    """Plays the clip and prints the summary; 1 where no result came. Raises as `replay`."""
    request = ReplayRequest(
        clip=parsed.clip,
        url=parsed.url,
        stages=parsed.models,
        channel=parsed.channel,
        token=parsed.token,
        relay_only=parsed.relay_only,
        out=parsed.out,
        annotate=parsed.annotate,
        duration_s=parsed.duration,
    )
    summary = asyncio.run(replay(request, Console(stderr=True)))
    if parsed.json:
        say(summary.as_json())
    else:
        show(summary_table(summary, parsed.clip.name))
    return 0 if summary.results else 1


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to play, where to, and what to keep of it."""

    clip: Path
    url: str
    stages: tuple[str, ...] | None = None
    """Stages to switch on, the others off; ``None`` leaves the choice to the server."""
    channel: Channel = Channel.DATACHANNEL
    token: str | None = None
    relay_only: bool = False
    out: Path | None = None
    annotate: Path | None = None
    duration_s: float | None = None


@dataclass(slots=True)
class Summary:
    """What came of a replay; `as_json` is the object that ``--json`` prints."""

    channel: Channel
    frames_sent: int = 0
    results: int = 0
    ages_ms: list[float] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    first_result_at: float | None = None
    last_result_at: float | None = None

    @property
    def inference_fps(self) -> float:
        """Results a second between the first and the last one."""
        if self.first_result_at is None or self.last_result_at is None or self.results < 2:
            return 0.0
        return (self.results - 1) / max(1e-6, self.last_result_at - self.first_result_at)

    def add(self, result: Result) -> None:
        """Counts a result that arrived just now."""
        now = time.monotonic()
        self.first_result_at = self.first_result_at or now
        self.last_result_at = now
        self.results += 1
        self.dropped = result.dropped
        self.labels.update(item.label for item in result.detections or result.segments or ())
        if result.frame.capture_time_ms is not None:
            self.ages_ms.append(time.time() * 1000.0 - result.frame.capture_time_ms)

    def add_texts(self, event: Event) -> None:
        """Keeps each text once, in the order of appearance."""
        for item in event.texts if isinstance(event, OcrEvent) else ():
            if item.text not in self.texts:
                self.texts.append(item.text)

    def age_ms(self, percentile: float) -> float | None:
        """Age of results when they arrived, from the capture of their frame."""
        return round(float(np.percentile(self.ages_ms, percentile)), 1) if self.ages_ms else None

    def as_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "frames_sent": self.frames_sent,
                "results": self.results,
                "inference_fps": round(self.inference_fps, 2),
                "result_age_ms": {"p50": self.age_ms(50), "p99": self.age_ms(99)},
                "dropped": self.dropped,
                "labels": dict(self.labels.most_common()),
                "texts": self.texts,
                "channel": self.channel,
            }
        )


async def replay(request: ReplayRequest, console: Console) -> Summary:
    """Plays the clip and returns what came of it; progress and problems go to ``console``.

    Raises `ClientError`, `mediaserver.client.clip.ClipError`, `OutputError`.
    """
    summary = Summary(request.channel)
    kept: list[Result] = []
    client = InferenceClient(
        request.url,
        pipeline=_pipeline(request.stages),
        channel=request.channel,
        token=request.token,
        relay_only=request.relay_only,
        on_event=summary.add_texts,
        on_problem=lambda error: _tell(console, error),
    )
    async with contextlib.AsyncExitStack() as stack:
        write = stack.enter_context(_results_file(request.out))
        if request.annotate is not None and not os.access(request.annotate.parent, os.W_OK):
            raise OutputError(f"cannot write {request.annotate}: its folder is not there or not writable")
        progress = stack.enter_context(_progress(console))
        bar = progress.add_task("playing", total=None, numbers="connecting")
        await stack.enter_async_context(client)
        _check_stages(request.stages, client)
        async for result in client.stream(request.clip, request.duration_s):
            summary.add(result)
            write(result)
            if request.annotate is not None:
                client.timeline.locate(result.frame)
                kept.append(result)
            progress.update(
                bar,
                total=client.duration_s,
                completed=client.position_s,
                numbers=_numbers(client.stats, summary),
            )
        summary.frames_sent = client.stats.frames_sent
    if request.annotate is not None:
        with Progress(console=console) as progress:
            bar = progress.add_task(f"writing {request.annotate}", total=1.0)
            await asyncio.to_thread(
                write_annotated,
                request.clip,
                request.annotate,
                _in_order(client, kept),
                lambda share: progress.update(bar, completed=share),
            )
            progress.update(bar, completed=1.0)
    return summary


@contextlib.contextmanager
def _results_file(path: Path | None) -> Iterator[Callable[[Result], None]]:
    """What takes each result: writes it as a line of JSON, or does nothing without a ``path``.

    Raises `OutputError`, also for what is still buffered at the end.
    """
    if path is None:
        yield lambda result: None
        return
    with writing(path):
        file = path.open("w")

    def write(result: Result) -> None:
        with writing(path):
            file.write(encode(result) + "\n")

    try:
        yield write
    finally:
        with writing(path):
            file.close()


def _in_order(client: InferenceClient, results: list[Result]) -> list[tuple[float, Result]]:
    """Results with their moments in the clip. Those before the first sender report are found only now."""
    located = [(client.timeline.locate(result.frame), result) for result in results]
    return sorted(
        ((moment, result) for moment, result in located if moment is not None), key=lambda pair: pair[0]
    )


def _pipeline(stages: tuple[str, ...] | None) -> PipelineConfig:
    if stages is None:
        return PipelineConfig()
    on: dict[str, Any] = {stage: stage in stages for stage in Stage}
    return PipelineConfig(**on)


def _check_stages(stages: tuple[str, ...] | None, client: InferenceClient) -> None:
    missing = [name for name in stages or () if name not in client.welcome.models]
    if missing:
        raise ClientError(
            f"the server cannot run {', '.join(missing)}; it has {', '.join(client.welcome.models)}"
        )


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[numbers]}"),
        console=console,
    )


def _numbers(stats: ClientStats, summary: Summary) -> str:
    age = summary.ages_ms[-1] if summary.ages_ms else None
    return (
        f"sent {stats.frames_sent}  results {summary.results}  {summary.inference_fps:.1f}/s  "
        f"age {'–' if age is None else f'{age:.0f} ms'}  dropped {sum(summary.dropped.values())}"
    )


def _tell(console: Console, error: Error) -> None:
    console.print(f"[yellow]server:[/] {error.message} ({error.code})")


def summary_table(summary: Summary, title: str) -> Table:
    """The summary for people."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in (
        ("channel", summary.channel),
        ("frames sent", summary.frames_sent),
        ("results", summary.results),
        ("inference", f"{summary.inference_fps:.1f} fps"),
        ("result age", _age_in_words(summary)),
        ("dropped", ", ".join(f"{stage} {count}" for stage, count in summary.dropped.items()) or "nothing"),
        ("labels", ", ".join(f"{label} {count}" for label, count in summary.labels.most_common(8)) or "none"),
        ("texts", ", ".join(summary.texts) or "none"),
    ):
        table.add_row(name, str(value))
    return table


def _age_in_words(summary: Summary) -> str:
    if not summary.ages_ms:
        return "unknown: no sender report yet"
    return f"{summary.age_ms(50):.0f} ms median, {summary.age_ms(99):.0f} ms p99"
