"""Publishers that others have written, each to its results: Meetecho's Simple WHIP Client, GStreamer."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mediaserver.child_process import stop
from tests.support.live_server import LiveServer, live_server
from tests.support.waiting import eventually
from tests.support.whip_client import next_of, watching

PUBLISHER = Path(__file__).parents[1] / "support" / "gstreamer_whip.py"
SYSTEM_PYTHON = "/usr/bin/python3"
CAMERA = (
    "videotestsrc is-live=true pattern=red ! video/x-raw,width=320,height=240,framerate=30/1 ! "
    "videoconvert ! queue"
)
VP8 = (
    "vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay pt=96 ! "
    "application/x-rtp,media=video,encoding-name=VP8,payload=96"
)
H264 = (
    "x264enc tune=zerolatency key-int-max=30 bitrate=500 ! rtph264pay pt=96 config-interval=-1 ! "
    "application/x-rtp,media=video,encoding-name=H264,payload=96"
)


@contextlib.asynccontextmanager
async def running(*command: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    try:
        yield process
    finally:
        await stop(process, timeout_s=5)


def needs_gstreamer() -> None:
    elements = ("webrtcbin", "nicesink", "vp8enc", "x264enc", "videotestsrc")
    bindings = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC"
    try:
        for command in (*(("gst-inspect-1.0", each) for each in elements), (SYSTEM_PYTHON, "-c", bindings)):
            if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode:
                pytest.skip(f"not there for GStreamer: {command[-1]} (deploy/dev/install-system-packages.sh)")
    except OSError as exc:
        pytest.skip(f"GStreamer is not installed: {exc.filename}")


def needs_whip_client() -> None:
    command = ("whip-client", "-u", "http://127.0.0.1:9/", "-V", f"{CAMERA} ! {VP8}")
    try:
        probe = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        pytest.skip("whip-client is not installed (Debian: simple-whip-client)")
    if "libsoup2 and libsoup3" in probe.stdout + probe.stderr:
        pytest.skip("whip-client of this Debian cannot start: it has libsoup 2, GStreamer's WebRTC libsoup 3")


async def sees_red(live: LiveServer, results: int = 30) -> None:
    async with watching(live, "door") as watcher:
        for _ in range(results):
            result = await next_of(watcher, "result")
        assert {found["label"] for found in result["detections"]} == {"red"}


@pytest.mark.parametrize("codec", [VP8, H264], ids=["VP8", "H264"])
async def test_gstreamer_publishes(tiny_models: Path, codec: str) -> None:
    needs_gstreamer()
    async with live_server(tiny_models) as live:
        async with running(
            SYSTEM_PYTHON, str(PUBLISHER), f"{live.http_url}whip/door", f"{CAMERA} ! {codec}"
        ) as publisher:
            await sees_red(live)
            printed, _ = await asyncio.wait_for(publisher.communicate(b""), 15)
        statuses = [line.split() for line in printed.decode().splitlines()]
        assert statuses[0] == ["POST", "201"]
        assert statuses[-1] == ["DELETE", "200"]
        assert {tuple(each) for each in statuses[1:-1]} == {("PATCH", "204")}
        assert live.ended("bye") == 1


@pytest.mark.parametrize("options", [(), ("--no-trickle",)], ids=["trickle", "no trickle"])
async def test_simple_whip_client_publishes(tiny_models: Path, options: tuple[str, ...]) -> None:
    needs_gstreamer()
    needs_whip_client()
    async with live_server(tiny_models) as live:
        url = f"{live.http_url}whip/door"
        async with running("whip-client", "-u", url, "-V", f"{CAMERA} ! {VP8}", *options) as publisher:
            await sees_red(live)
            publisher.send_signal(signal.SIGINT)
            await eventually(lambda: live.ended("bye") == 1)
