"""``mediaserver demo``: a server of its own, a clip through it, and then a page to try."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from rich.console import Console

from inference.catalogue import BUILT_IN
from inference.stages import Stage, networks_of
from mediaserver.child_process import NotReady, free_ports, stop, wait_until_ready
from mediaserver.cli.clip_argument import clip_argument
from mediaserver.cli.output import standard_output
from mediaserver.cli.replay import ReplayRequest, replay
from mediaserver.cli.replay_summary import summary_table
from mediaserver.cli.triton import write_models
from mediaserver.client.live_address import LiveAddress
from mediaserver.client.recording import check_recording
from mediaserver.errors import UserError
from mediaserver.models.default_models import pull_missing
from mediaserver.models.files import PULL_DEFAULTS, files_in_use, synthetic_words
from mediaserver.models.local_triton import TritonPorts, fetch, triton_server
from mediaserver.paths import sample_clip, temporary_folder
from mediaserver.settings.model import ENVIRONMENT_PREFIX, load

DESCRIPTION = (
    "Starts a server, plays a clip into it, and prints a summary. Then it serves a page for your camera "
    "until Ctrl-C; the last line has the address."
)
EXAMPLES = ("mediaserver demo", "mediaserver demo clip.mp4 --once", "mediaserver demo --models builtin")
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 10.0
_FOR_OTHERS = ("MEDIASERVER_TOKEN_KEYS", "MEDIASERVER_ALLOWED_ORIGINS")
"""Settings that keep strangers out: on this machine they would keep out the demo itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to play, and how."""
    parser.add_argument(
        "clip",
        type=_recording,
        nargs="?",
        help="a video file, such as MP4, or a folder of pictures; default: the sample clip, a drawn street",
    )
    parser.add_argument(
        "--engine",
        choices=("embedded", "triton"),
        default="embedded",
        help="embedded: ONNX Runtime in the server; triton: an NVIDIA Triton, which is fetched (55 MB) and "
        "started; default: %(default)s",
    )
    parser.add_argument(
        "--models",
        choices=("default", "builtin"),
        default="default",
        help="default: your models, else the pulled models, which are fetched (17 MB) if there are none. "
        "builtin: the models of the package, which recognise drawn scenes only; nothing is fetched. "
        "default: %(default)s",
    )
    parser.add_argument("--once", action="store_true", help="exit after the summary")


def _recording(text: str) -> Path:
    source = clip_argument(text)
    if isinstance(source, LiveAddress):
        raise argparse.ArgumentTypeError(
            "the demo plays files; for a camera run mediaserver serve, then mediaserver replay URL"
        )
    return source


def run(parsed: argparse.Namespace) -> int:
    """Runs the demo. Raises `mediaserver.errors.UserError`."""
    if parsed.clip is not None:
        check_recording(parsed.clip)  # before models are fetched for it
    with standard_output():
        console = Console()
        chosen = {} if parsed.models == "default" else {"models": str(BUILT_IN)}
        if not chosen:
            pull_missing(load(), console)
        running = demo(parsed.clip, engine=parsed.engine, once=parsed.once, chosen=chosen, console=console)
        return asyncio.run(running)


async def demo(
    clip: Path | None, *, engine: str, once: bool, chosen: Mapping[str, str], console: Console
) -> int:
    """Runs the demo; returns the exit status. Without ``clip`` the sample is played; with the engine
    ``triton`` it starts a Triton of its own. ``chosen`` are settings, as on the command line.

    Raises `mediaserver.errors.UserError`: as `mediaserver.cli.replay.replay` and
    `mediaserver.cli.triton.write_models` do, and where the server or Triton does not start.
    """
    clip = clip or sample_clip()
    files = files_in_use(load(command_line=chosen))
    stages = tuple(
        stage for stage in (Stage.DETECT, Stage.POSE, Stage.OCR) if networks_of(stage, files) is not None
    )
    async with contextlib.AsyncExitStack() as stack:
        environment = {"MEDIASERVER_ENGINE": engine}
        environment |= {f"{ENVIRONMENT_PREFIX}{key.upper()}": value for key, value in chosen.items()}
        if engine == "triton":
            environment["MEDIASERVER_TRITON_URLS"] = await stack.enter_async_context(_triton(console, chosen))
        process, url = await stack.enter_async_context(_server(console, environment))
        address = url.replace("http", "ws", 1) + "ws/inference"
        request = ReplayRequest(clip, address, stages, warn_of_drawings=False)  # the demo ends with it
        summary = await replay(request, console)
        console.print(summary_table(summary, clip.name))
        if summary.results == 0:
            console.print("[red]no result came back[/]")
            return 1
        if (words := synthetic_words(files)) is not None:
            words = f"Built-in models found this: {words}; for these: {PULL_DEFAULTS} (docs/models.md)."
            console.print(words, highlight=False)
        if once:
            return 0
        console.print("Still serving; Ctrl-C ends it. Open this page and show it your camera:")
        console.print(url)
        return await process.wait()


@contextlib.asynccontextmanager
async def _triton(console: Console, chosen: Mapping[str, str]) -> AsyncIterator[str]:
    """A Triton with the models of the settings, ready, and its address."""
    with (
        temporary_folder("triton") as folder,
        console.status("fetching and starting Triton") as status,
    ):
        await asyncio.to_thread(write_models, folder, "cpu", chosen)
        server = await asyncio.to_thread(fetch)
        async with triton_server(server, folder, TritonPorts.free()) as triton:
            status.stop()
            yield triton.grpc


@contextlib.asynccontextmanager
async def _server(
    console: Console, environment: Mapping[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server process, ready, and its address. A process of its own, so that figures are honest."""
    [port] = free_ports(1, load().port)
    url = f"http://127.0.0.1:{port}/"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediaserver", "serve", "--host", "127.0.0.1", "--port", str(port)),
        env={**_environment(), **environment},
    )
    try:
        with console.status("starting the server and loading models"):
            try:
                await wait_until_ready(process, f"{url}readyz", _START_TIMEOUT_S)
            except NotReady as exc:
                raise UserError(f"the server {exc}; its words are above") from exc
        yield process, url
    finally:
        await stop(process, _STOP_TIMEOUT_S)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOR_OTHERS}
    return {"MEDIASERVER_LOG_LEVEL": "warning", **kept}
