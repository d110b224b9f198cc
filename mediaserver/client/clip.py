"""A recording played like a camera: in real time, and late frames are skipped, never queued."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import av

from mediaserver.client.clip_clock import CLOCK_HZ
from mediaserver.client.errors import ClipError
from mediaserver.client.recording import Recording, open_recording
from mediaserver.client.scaling import scaled_down

__all__ = ["ClipError", "ClipPlayer"]

T = TypeVar("T")

_CATCHING_UP_S = 0.25
"""A clip that is late for longer is decoded slower than real time. Then no frame is skipped."""

_RECOVERED_S = 1.0
"""When no frame was late for so long, late ones are skipped again."""
_STILL_S = 1.0
"""A picture that stands longer is sent again: who sends nothing for some seconds is taken for gone."""


class ClipPlayer:
    """Plays one clip once. Use ``async with``; then `next_frame` until it returns ``None``.

    Frames have the time that `ClipFile` gives them. ``max_framerate`` and ``scale_resolution_down_by`` may be
    changed at any time. Raises `ClipError` on entering for what cannot be played.
    """

    def __init__(self, path: str | Path, duration_s: float | None = None) -> None:
        self._path = Path(path)
        self._limit_s = duration_s
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="clip")
        self._recording: Recording | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._next: asyncio.Future[av.VideoFrame | None] | None = None
        self._early: av.VideoFrame | None = None
        self._shown: av.VideoFrame | None = None
        self._began_at: float | None = None
        self._last_time_s: float | None = None
        self._late_since: float | None = None
        self._late_at = 0.0
        self._falls_behind = False
        self.max_framerate: float | None = None
        self.scale_resolution_down_by = 1.0
        self.duration_s: float | None = None
        """Length of what will be played, where the file says it."""
        self.framerate = 30.0
        self.position_s = 0.0
        self.skipped = 0
        self.slowed_s = 0.0
        """How much longer than the clip playing it takes, because decoding is slower than real time."""

    async def __aenter__(self) -> Self:
        try:
            await self._in_thread(self._open)
        except BaseException:
            self._executor.shutdown(wait=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next is not None:
            await asyncio.gather(self._next, return_exceptions=True)
        await self._in_thread(self._close)
        self._executor.shutdown(wait=False)

    @property
    def share(self) -> float:
        """How much was played, 0..1."""
        if self.duration_s:
            return min(1.0, self.position_s / self.duration_s)
        return 0.0 if self._recording is None else self._recording.share_read

    def file_at(self, time_s: float) -> Path:
        """Where the frame at that time is from."""
        return self._path if self._recording is None else self._recording.file_at(time_s)

    @property
    def damaged(self) -> int:
        """Packets so far that could not be decoded."""
        return 0 if self._recording is None else self._recording.damaged

    async def next_frame(self) -> av.VideoFrame | None:
        """Waits until the next frame is due and returns it; ``None`` at the end of the clip."""
        while True:
            frame = await self._decoded()
            if frame is None or (self._limit_s is not None and frame.time >= self._limit_s):
                return None
            now = time.monotonic()
            if self._began_at is None:
                self._began_at = now - frame.time
            if self._too_soon(frame.time) or self._too_late(now, now - self._began_at - frame.time):
                self.skipped += 1
                continue
            wait_s = self._began_at + frame.time - now
            if wait_s > _STILL_S and self._shown is not None:
                self._early = frame
                await asyncio.sleep(_STILL_S)
                return await self._scaled(self._again(self._shown))
            await asyncio.sleep(max(0.0, wait_s))
            self._last_time_s = self.position_s = frame.time
            self._shown = frame
            frame = await self._scaled(frame)
            self._next = self._in_thread(self._read)  # while this one is encoded
            return frame

    def _again(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture that still stands there, as a camera would send it."""
        self._last_time_s = self.position_s = self.position_s + _STILL_S
        frame.pts, frame.time_base = round(self.position_s * CLOCK_HZ), Fraction(1, CLOCK_HZ)
        return frame

    async def _decoded(self) -> av.VideoFrame | None:
        if self._early is not None:
            frame, self._early = self._early, None
            return frame
        decoding, self._next = self._next or self._in_thread(self._read), None
        return await decoding

    def _read(self) -> av.VideoFrame | None:
        return next(self._frames, None)

    def _too_soon(self, time_s: float) -> bool:
        if self.max_framerate is None or self._last_time_s is None:
            return False
        # Half a frame of tolerance, so that 15 of 30 fps is every second frame in spite of rounding.
        return time_s - self._last_time_s < 1.0 / self.max_framerate - 0.5 / self.framerate

    def _too_late(self, now: float, late_s: float) -> bool:
        """Whether a newer frame is worth waiting for. It is not where decoding does not catch up: then the
        clip's clock waits for it."""
        if late_s <= 1.0 / self.framerate:
            self._late_since = None
            self._falls_behind = self._falls_behind and now - self._late_at < _RECOVERED_S
            return False
        self._late_since, self._late_at = self._late_since or now, now
        self._falls_behind |= now - self._late_since > _CATCHING_UP_S
        if self._falls_behind and self._began_at is not None:
            self._began_at += late_s
            self.slowed_s += late_s
        return not self._falls_behind

    def _open(self) -> None:
        recording = self._recording = open_recording(self._path)
        self._frames = recording.frames()
        self.framerate, self.duration_s = recording.framerate, recording.duration_s
        if self._limit_s is not None:
            self.duration_s = min(self._limit_s, self.duration_s or self._limit_s)

    async def _scaled(self, frame: av.VideoFrame) -> av.VideoFrame:
        if self.scale_resolution_down_by <= 1.0:
            return frame
        return await self._in_thread(partial(scaled_down, frame, self.scale_resolution_down_by))

    def _close(self) -> None:
        if self._recording is not None:
            with self._recording:
                pass

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work)
