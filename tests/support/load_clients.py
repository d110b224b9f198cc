"""Clients in a process of their own, so that they take no time of the server's event loop.

``python -m tests.support.load_clients KIND SOCKET_URL SESSIONS FRAMES_PER_S SECONDS`` prints results as JSON;
``KIND`` is jpeg, webrtc or detect_and_pose.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import msgspec
import uvloop

from mediaserver.client.client import InferenceClient
from signaling.pipeline_config import PipelineConfig
from tests.support.clips import picture, write_clip
from tests.support.jpeg_client import jpeg_client
from tests.support.waiting import eventually

Results: TypeAlias = list[list[dict[str, Any]]]
"""Of each session, after a warm-up: ``result`` messages."""

WARM_UP_S = 1.5
_MARK = slice(0, 32)


@dataclass(frozen=True, slots=True)
class Address:
    socket_url: str


def marked(session: int) -> bytes:
    """A picture as JPEG whose upper left corner tells the session; see `session_of`."""
    pixels = picture(0.0, (320, 240))[:, :, ::-1].copy()
    pixels[_MARK, _MARK] = 16 * session
    return bytes(cv2.imencode(".jpg", pixels)[1])


def session_of(canvas: Any) -> int:
    """The session whose picture this uint8 [240, 320, 3] is."""
    return int(canvas[4:12, 4:12].mean() + 8) // 16


async def jpeg(url: str, sessions: int, frames_per_s: float, seconds: float) -> Results:
    """Each sends its `marked` picture over and over and wants poses."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for session in range(sessions):
            client = jpeg_client(Address(url), marked(session), interval_s=1 / frames_per_s, detect=False)
            clients.append(await stack.enter_async_context(client))
            await asyncio.sleep(1 / frames_per_s * 0.618)  # cameras are not in step
        await eventually(lambda: all(client.results for client in clients))
        await asyncio.sleep(WARM_UP_S)
        marks = [len(client.results) for client in clients]
        await asyncio.sleep(seconds)
        return [client.results[mark:] for client, mark in zip(clients, marks, strict=True)]


async def webrtc(url: str, sessions: int, frames_per_s: float, seconds: float) -> Results:
    """Each encodes a clip as VP8, 320×240, and wants poses."""
    return await _webrtc(url, sessions, frames_per_s, seconds, PipelineConfig(detect=False, pose=True))


async def detect_and_pose(url: str, sessions: int, frames_per_s: float, seconds: float) -> Results:
    """As `webrtc`, with detection, too."""
    return await _webrtc(url, sessions, frames_per_s, seconds, PipelineConfig(detect=True, pose=True))


async def _webrtc(
    url: str, sessions: int, frames_per_s: float, seconds: float, wanted: PipelineConfig
) -> Results:
    with tempfile.TemporaryDirectory() as folder:
        length_s = seconds + WARM_UP_S
        clip = write_clip(Path(folder) / "clip.mp4", length_s, round(frames_per_s), (320, 240))

        async def play() -> list[dict[str, Any]]:
            async with InferenceClient(url, pipeline=wanted) as client:
                found = [msgspec.to_builtins(result) async for result in client.stream(clip)]
            return [result for result in found if result["frame"]["pts_ms"] > WARM_UP_S * 1000]

        return await asyncio.gather(*(play() for _ in range(sessions)))


KINDS = {"jpeg": jpeg, "webrtc": webrtc, "detect_and_pose": detect_and_pose}


async def load(kind: str, url: str, sessions: int, frames_per_s: float, seconds: float) -> Results:
    """What ``sessions`` clients of a kind got, from a process of their own."""
    arguments = [kind, url, sessions, frames_per_s, seconds]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.load_clients", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await process.communicate()
    assert process.returncode == 0
    found: Results = json.loads(written)
    return found


if __name__ == "__main__":
    kind, url, *numbers = sys.argv[1:]
    sessions, frames_per_s, seconds = map(float, numbers)
    print(json.dumps(uvloop.run(KINDS[kind](url, int(sessions), frames_per_s, seconds))))
