"""``mediaserver demo``: a server of its own, a clip through it, and then a page to try."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from rich.console import Console

from inference.engines.contract import Task
from inference.stages import STAGES, Stage
from mediaserver.child_process import NotReady, stop, wait_until_ready
from mediaserver.cli.output import standard_output
from mediaserver.cli.replay import ReplayRequest, replay, summary_table
from mediaserver.cli.triton import write_models
from mediaserver.errors import AddressError, UserError
from mediaserver.models.files import files_in_use, origin
from mediaserver.models.local_triton import fetch, free_ports, triton_server
from mediaserver.paths import sample_clip, temporary_folder
from mediaserver.settings.model import load

DESCRIPTION = (
    "Starts a server, plays a clip into it, prints a summary and keeps serving: open the page that it names, "
    "and show it your camera. Ctrl-C ends it."
)
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 10.0
_FOR_OTHERS = ("MEDIASERVER_TOKEN_KEYS", "MEDIASERVER_ALLOWED_ORIGINS")
"""Settings that keep strangers out: on this machine they would keep out the demo itself."""

_BUILT_IN = (
    "Built-in models found this. They know the drawn world of the sample clip, not real people and things; "
    "for these there are others: mediaserver models pull yolox_tiny (docs/models.md)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to play, and how."""
    parser.add_argument(
        "clip",
        type=Path,
        nargs="?",
        help="a video file, such as MP4: whatever PyAV reads; default: the sample clip, a drawn street",
    )
    parser.add_argument(
        "--engine",
        choices=("embedded", "triton"),
        default="embedded",
        help="what runs the models: ONNX Runtime inside the server, or an NVIDIA Triton that is fetched and "
        "started; default: %(default)s",
    )
    parser.add_argument("--once", action="store_true", help="end after the summary")


def run(parsed: argparse.Namespace) -> int:
    """Runs the demo. Raises `mediaserver.errors.UserError`."""
    with standard_output():
        return asyncio.run(demo(parsed.clip, engine=parsed.engine, once=parsed.once, console=Console()))


async def demo(clip: Path | None, *, engine: str, once: bool, console: Console) -> int:
    """Runs the demo; returns the exit status. Without ``clip`` the sample is played; with the engine
    ``triton`` it starts a Triton of its own.

    Raises `mediaserver.errors.UserError`: as `mediaserver.cli.replay.replay` and
    `mediaserver.cli.triton.write_models` do, and where the server or Triton does not start.
    """
    clip = clip or sample_clip()
    files = files_in_use(load())
    stages = tuple(
        stage
        for stage in (Stage.DETECT, Stage.POSE, Stage.OCR)
        if all(network.task in files for network in STAGES[stage].networks)
    )
    async with contextlib.AsyncExitStack() as stack:
        environment = {"MEDIASERVER_ENGINE": engine}
        if engine == "triton":
            environment["MEDIASERVER_TRITON_URLS"] = await stack.enter_async_context(_triton(console))
        process, url = await stack.enter_async_context(_server(console, environment))
        request = ReplayRequest(clip, url.replace("http", "ws", 1) + "ws/inference", stages)
        summary = await replay(request, console)
        console.print(summary_table(summary, clip.name))
        if summary.results == 0:
            console.print("[red]no result came back[/]")
            return 1
        if origin(files[Task.DETECT], Task.DETECT) == "built in":
            console.print(_BUILT_IN)
        if once:
            return 0
        console.print("Still serving; Ctrl-C ends it. Open this page and show it your camera:")
        console.print(url)
        return await process.wait()


@contextlib.asynccontextmanager
async def _triton(console: Console) -> AsyncIterator[str]:
    """A Triton with the models of the settings, ready, and its address."""
    with (
        temporary_folder("triton") as folder,
        console.status("fetching and starting Triton") as status,
    ):
        await asyncio.to_thread(write_models, folder, "cpu", {})
        server = await asyncio.to_thread(fetch)
        async with triton_server(server, folder, free_ports()) as triton:
            status.stop()
            yield triton.grpc


@contextlib.asynccontextmanager
async def _server(
    console: Console, environment: Mapping[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server process, ready, and its address. A process of its own, so that figures are honest."""
    port = _free_port()
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


def _free_port() -> int:
    """8080 where it is free, else any."""
    for port in (8080, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise AddressError("no free port on 127.0.0.1")
