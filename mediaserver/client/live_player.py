"""A live source played as it comes: always its newest frame, whatever is done with the one before."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from types import TracebackType
from typing import Self

import av

from mediaserver.client.live_address import LiveAddress
from mediaserver.client.live_feed import LiveFeed, connect
from mediaserver.client.scaling import scaled_down

_CLOCK_HZ = 90_000
_FRAMERATES = (1.0, 120.0)
"""What a camera may say of itself. RTSP often says nothing, or 90000, the ticks of its clock."""
_FRAMERATE = 30.0


class LivePlayer:
    """Plays what is at ``address``, as a `mediaserver.client.player.Player`.

    It ends after ``duration_s``. A source that is lost is connected to again, for as long as it takes;
    ``on_notice`` is told. Raises `mediaserver.client.clip.ClipError` on entering where there is none.
    """

    def __init__(
        self, address: LiveAddress, duration_s: float | None, on_notice: Callable[[str], None]
    ) -> None:
        self._address = address
        self._on_notice = on_notice
        self._feed: LiveFeed | None = None
        self._arrived = asyncio.Event()
        self._exchange = threading.Lock()
        self._newest: av.VideoFrame | None = None
        self._began_at = 0.0
        self._last_at: float | None = None
        self.max_framerate: float | None = None
        self.scale_resolution_down_by = 1.0
        self.duration_s = duration_s
        self.framerate = _FRAMERATE
        self.position_s = 0.0
        self.skipped = 0
        self.slowed_s = 0.0
        self.damaged = 0

    @property
    def share(self) -> float | None:
        """As `Player.share`."""
        return None if self.duration_s is None else min(1.0, self.position_s / self.duration_s)

    def file_at(self, time_s: float) -> None:
        """As `Player.file_at`."""

    async def __aenter__(self) -> Self:
        opened = await asyncio.to_thread(connect, self._address)
        loop = asyncio.get_running_loop()

        def take(frame: av.VideoFrame) -> None:
            with self._exchange:
                self.skipped += self._newest is not None
                self._newest = frame
            loop.call_soon_threadsafe(self._arrived.set)

        def tell(words: str) -> None:
            loop.call_soon_threadsafe(self._on_notice, words)

        rate = float(opened[1].average_rate or 0)
        self.framerate = rate if _FRAMERATES[0] <= rate <= _FRAMERATES[1] else _FRAMERATE
        self._began_at = time.monotonic()
        self._feed = LiveFeed(self._address, opened, take, tell)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._feed is not None:
            await asyncio.to_thread(self._feed.close)

    async def next_frame(self) -> av.VideoFrame | None:
        """Waits for a frame that is newer than the last one; ``None`` at the end."""
        until = None if self.duration_s is None else self._began_at + self.duration_s
        try:
            async with asyncio.timeout_at(self._on_loop(until)):
                await self._wait_for_turn()
                frame = await self._take()
        except TimeoutError:
            return None
        self._last_at = time.monotonic()
        self.position_s = self._last_at - self._began_at
        if self.scale_resolution_down_by > 1.0:
            frame = await asyncio.to_thread(scaled_down, frame, self.scale_resolution_down_by)
        frame.pts, frame.time_base = round(self.position_s * _CLOCK_HZ), Fraction(1, _CLOCK_HZ)
        return frame

    async def _wait_for_turn(self) -> None:
        if self.max_framerate is not None and self._last_at is not None:
            await asyncio.sleep(self._last_at + 1.0 / self.max_framerate - time.monotonic())

    async def _take(self) -> av.VideoFrame:
        while True:
            with self._exchange:
                frame, self._newest = self._newest, None
                self._arrived.clear()
            if frame is not None:
                return frame
            await self._arrived.wait()

    @staticmethod
    def _on_loop(moment: float | None) -> float | None:
        """A moment of `time.monotonic` on the clock of the event loop."""
        if moment is None:
            return None
        return asyncio.get_running_loop().time() + moment - time.monotonic()
