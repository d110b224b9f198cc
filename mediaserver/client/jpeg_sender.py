"""Video over the WebSocket, where UDP is blocked: one JPEG picture a message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import av

from mediaserver.client.frame_source import FrameSource
from mediaserver.client.jpeg_encoding import encode_jpeg
from mediaserver.client.jpeg_pacing import JpegPacing
from mediaserver.client.link import Link
from signaling.jpeg import with_capture_time
from signaling.messages import Result

MAX_FRAMERATE = 15.0
_LOOK_S = 0.05


class JpegSender:
    """Sends the newest frame whenever there is room for one. ``on_sent`` is told of each, and of when it was
    captured (Unix milliseconds)."""

    def __init__(self, source: FrameSource, on_sent: Callable[[av.VideoFrame, float], None]) -> None:
        self._source = source
        self._on_sent = on_sent
        self.pacing = JpegPacing()
        self._moved = asyncio.Event()

    async def run(self, link: Link) -> None:
        """Sends over ``link`` until cancelled, or the source ends. Raises `Unreachable` when the link is
        lost."""
        self.pacing.restart()
        while True:
            await self._room()
            frame = await self._source.next_frame()
            if frame is None:
                return
            captured_ms = time.time() * 1000.0
            data = await asyncio.to_thread(encode_jpeg, frame, *self.pacing.form)
            await link.send_jpeg(with_capture_time(data, captured_ms))
            self.pacing.sent(await link.ping(), captured_ms, time.monotonic())
            self._on_sent(frame, captured_ms)

    def received(self, number: int) -> None:
        """The server has answered the ping of this number."""
        self.pacing.received(number, time.monotonic())
        self._moved.set()

    def answered(self, result: Result) -> None:
        """A result came."""
        if result.frame.rtp_timestamp is None and result.frame.capture_time_ms is not None:
            self.pacing.answered(result.frame.capture_time_ms)
            self._moved.set()

    async def _room(self) -> None:
        while not self.pacing.has_room(time.monotonic()):
            self._moved.clear()
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._moved.wait()
            except TimeoutError:
                pass
