"""``mediaserver replay``: a recorded clip through the whole path, with progress and a summary."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from inference.stages import Stage
from mediaserver.cli.clip_argument import clip_argument
from mediaserver.cli.output import in_utf8, say, show
from mediaserver.cli.replay_progress import numbers, progress_bar
from mediaserver.cli.replay_summary import Summary, drawn_words, summary_table
from mediaserver.cli.results_file import ClipLines, results_file
from mediaserver.client.annotate import check_format, write_annotated
from mediaserver.client.client import Channel, ClientError, InferenceClient
from mediaserver.client.live_address import LiveAddress
from mediaserver.client.picture_folder import pictures_in
from mediaserver.client.recording import check_recording
from mediaserver.errors import OutputError, UsageError, writing
from mediaserver.settings.model import load
from signaling.messages import Error, Event, Result
from signaling.pipeline_config import PipelineConfig

Source: TypeAlias = Path | LiveAddress

DESCRIPTION = (
    "Plays recordings into a server over WebRTC, in real time, and prints a summary of the results. A camera "
    "(RTSP, MJPEG or a device) is played until Ctrl-C; a lost camera is opened again. Exit status: 0, or 1 "
    "if no result came."
)
EXAMPLES = (
    "mediaserver replay clip.mp4",
    "mediaserver replay clip.mp4 --models detect,ocr --out results.jsonl --annotate annotated.mp4",
    "mediaserver replay clip.mp4 pictures/ --every-frame --out results.jsonl",
    "mediaserver replay rtsp://camera.example/live",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to play, where to, and what to keep of it."""
    parser.add_argument(
        "clips",
        type=clip_argument,
        nargs="+",
        metavar="clip",
        help="a video file, such as MP4, or a folder of pictures, played at 30 a second. Or a camera: "
        "rtsp://…, http://… (MJPEG), /dev/video0. Several clips are played in turn, each in its own session",
    )
    parser.add_argument(
        "--url",
        help="WebSocket of the server; default: ws://127.0.0.1:8080/ws/inference, with the host and port of "
        "MEDIASERVER_HOST and MEDIASERVER_PORT if they are set",
    )
    parser.add_argument(
        "--models",
        type=_stages,
        metavar="LIST",
        help=f"stages to run, of {','.join(Stage)}; default: the choice of the server",
    )
    parser.add_argument(
        "--channel",
        type=Channel,
        choices=list(Channel),
        help="datachannel: results come over WebRTC. websocket: results come over the WebSocket. jpeg: "
        f"frames go over the WebSocket, too, for networks that block UDP. default: {Channel.DATACHANNEL}",
    )
    parser.add_argument(
        "--every-frame",
        action="store_true",
        help="infer each frame once, in order, as fast as the server can. Results are the same in each run, "
        "for mediaserver compare",
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=0.0,
        metavar="S",
        help="wait up to S seconds for a server that is full, starting or down; default: 0",
    )
    parser.add_argument("--token", help="session token, if the server needs one")
    parser.add_argument(
        "--relay-only", action="store_true", help="send media through the server's TURN server only"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write each result, and each reading of texts, as a line of JSON (JSONL)",
    )
    parser.add_argument(
        "--annotate",
        type=Path,
        metavar="FILE",
        help="write the clip with the results drawn in, as .mp4, .mkv or .mov. With several clips, FILE is a "
        "folder",
    )
    parser.add_argument(
        "--duration",
        type=_seconds,
        metavar="S",
        help="stop after S seconds of each clip; default: the whole clip",
    )
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
    """Plays the clips and prints the summary; 1 where no result came. Raises as `replay`."""
    if parsed.every_frame and (parsed.relay_only or parsed.channel not in (None, Channel.JPEG)):
        raise UsageError("--every-frame sends pictures through the WebSocket: no --channel, no --relay-only")
    first, *others = parsed.clips
    request = ReplayRequest(
        clip=first,
        others=tuple(others),
        url=parsed.url or f"{load().local_url.replace('http', 'ws', 1)}/ws/inference",
        stages=parsed.models,
        channel=parsed.channel or Channel.DATACHANNEL,
        token=parsed.token,
        relay_only=parsed.relay_only,
        out=parsed.out,
        annotate=parsed.annotate,
        duration_s=parsed.duration,
        every_frame=parsed.every_frame,
        wait_s=parsed.wait,
    )
    summary = asyncio.run(replay(request, Console(stderr=True)))
    if parsed.json:
        say(summary.as_json())
    else:
        show(summary_table(summary, in_utf8(", ".join(clip.name for clip in parsed.clips))))
    return 0 if summary.results else 1


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What to play, where to, and what to keep of it."""

    clip: Source
    url: str
    stages: tuple[str, ...] | None = None
    """Stages to switch on, the others off; ``None`` leaves the choice to the server."""
    channel: Channel = Channel.DATACHANNEL
    token: str | None = None
    relay_only: bool = False
    out: Path | None = None
    annotate: Path | None = None
    duration_s: float | None = None
    """Of each clip."""
    every_frame: bool = False
    wait_s: float = 0.0
    """For a place, before each clip."""
    others: tuple[Source, ...] = ()
    """Clips to be played after the first. Then ``annotate`` is a folder."""
    warn_of_drawings: bool = True
    """Whether to print a note, once, if models recognise drawn scenes only."""


async def replay(request: ReplayRequest, console: Console) -> Summary:
    """Plays the clips and returns what came of them; progress and problems go to ``console``.

    Raises `ClientError`, `mediaserver.client.errors.ClipError`, `OutputError`.
    """
    summary = Summary(Channel.JPEG if request.every_frame else request.channel, request.every_frame)
    plan = _plan(request)
    with results_file(request.out) as put:
        for clip, annotated in plan:
            results = await _play(request, clip, summary, put, console, keep=annotated is not None)
            if annotated is not None and isinstance(clip, Path):
                await _annotate(clip, annotated, results, console)
    return summary


def _plan(request: ReplayRequest) -> list[tuple[Source, Path | None]]:
    """Each clip with the file that it is to be written to; all checked before the first is played."""
    clips = (request.clip, *request.others)
    _check_playable(clips)
    if request.out is not None:
        _check_names(clips, request.out)
        _check_writable(request.out)
    if any(isinstance(clip, LiveAddress) for clip in clips):
        if request.annotate is not None or request.every_frame:
            raise UsageError("--annotate and --every-frame are for files: a live source leaves none")
        return [(clip, None) for clip in clips]
    annotated: list[Path | None] = [request.annotate] * len(clips)
    if request.annotate is not None and request.others:
        with writing(request.annotate):
            request.annotate.mkdir(exist_ok=True)
        annotated = [request.annotate / f"{Path(clip.name).stem}.mp4" for clip in clips]
        if len(set(annotated)) < len(clips):
            raise UsageError(f"cannot write {request.annotate}: two clips have the same name")
    for out in (request.out, *annotated):
        if out is not None and any(isinstance(clip, Path) and _is_same(out, clip) for clip in clips):
            raise UsageError(f"cannot write {out}: it is the clip itself")
    for out in annotated:
        if out is not None:
            check_format(out)
            _check_writable(out)
    return list(zip(clips, annotated, strict=True))


def _check_playable(clips: Sequence[Source]) -> None:
    for clip in (each for each in clips if isinstance(each, Path)):
        check_recording(clip)


def _check_writable(out: Path) -> None:
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise OutputError(f"cannot write {out}: it or its folder is not there or not writable")


def _check_names(clips: Sequence[Source], out: Path) -> None:
    names = [name for clip in clips for name in _names(clip)]
    if len(set(names)) < len(names):
        raise UsageError(f"cannot write {out}: two clips or pictures have the same name")


def _names(clip: Source) -> list[str]:
    """What lines of results call the frames of ``clip``. Raises `ClipError`."""
    if isinstance(clip, Path) and clip.is_dir():
        return [picture.name for picture in pictures_in(clip)]
    return [clip.name]


def _is_same(out: Path, clip: Path) -> bool:
    try:
        return out.samefile(clip)
    except OSError:  # one of them is not there
        return False


async def _play(
    request: ReplayRequest,
    clip: Source,
    summary: Summary,
    put: Callable[[str], None],
    console: Console,
    *,
    keep: bool,
) -> list[tuple[float, Result]]:
    """One clip in a session of its own. Returns the results with their moments, where they are to be kept."""
    kept: list[Result] = []

    def take_event(event: Event) -> None:
        summary.add_texts(event)
        lines.take(event)

    client = InferenceClient(
        request.url,
        pipeline=_pipeline(request.stages),
        channel=request.channel,
        token=request.token,
        relay_only=request.relay_only,
        wait_s=request.wait_s,
        on_event=take_event,
        on_problem=lambda error: _tell(console, error),
        on_notice=lambda words: console.print(f"[yellow]note:[/] {escape(words)}"),
    )
    with progress_bar(console) as progress, ClipLines(put, client, clip) as lines:
        bar = progress.add_task(escape(in_utf8(clip.name)), total=None, numbers="connecting")
        async with client:
            _check_stages(request.stages, client)
            words = drawn_words(client.welcome.models, request.stages)
            if words is not None and request.warn_of_drawings and not summary.models:
                console.print(f"[yellow]note:[/] {words}", highlight=False)
            summary.models = client.welcome.models
            results = client.stream(clip, request.duration_s, every_frame=request.every_frame)
            with _interruptible(clip):
                async with contextlib.aclosing(results):
                    async for result in results:
                        summary.add(result)
                        lines.take(result)
                        if keep:
                            client.timeline.locate(result.frame)
                            kept.append(result)
                        share, words = client.share, numbers(summary)
                        total = None if share is None else 1.0
                        progress.update(bar, total=total, completed=share or 0.0, numbers=words)
        progress.update(bar, total=1.0, completed=1.0)
    summary.add_stats(client.stats)
    return _in_order(client, kept)


@contextlib.contextmanager
def _interruptible(clip: Source) -> Iterator[None]:
    """A live source ends by Ctrl-C, which cancels this task: that is no reason to have no summary."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or not isinstance(clip, LiveAddress):
            raise
        task.uncancel()


async def _annotate(clip: Path, out: Path, results: list[tuple[float, Result]], console: Console) -> None:
    if not results:
        console.print(f"{escape(in_utf8(str(out)))} is not written: no result came")
        return
    with Progress(console=console) as progress:
        bar = progress.add_task(f"writing {escape(in_utf8(str(out)))}", total=1.0)
        await asyncio.to_thread(
            write_annotated, clip, out, results, lambda share: progress.update(bar, completed=share)
        )
        progress.update(bar, completed=1.0)


def _in_order(client: InferenceClient, results: list[Result]) -> list[tuple[float, Result]]:
    """Results with their moments in the clip. Those before the first sender report are found only now."""
    located = [(client.timeline.settle(result.frame), result) for result in results]
    return sorted(located, key=lambda pair: pair[0])


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


def _tell(console: Console, error: Error) -> None:
    console.print(f"[yellow]server:[/] {error.message} ({error.code})")
