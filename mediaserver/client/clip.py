"""A recorded file played like a camera: in real time, and late frames are skipped, never queued."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import av
from av.container import InputContainer

from mediaserver.errors import UserError

T = TypeVar("T")


class ClipError(UserError):
    """The file cannot be played; the message is one clear line."""


class ClipPlayer:
    """Plays one clip once. Use ``async with``; then `next_frame` until it returns ``None``.

    ``max_framerate`` and ``scale_resolution_down_by`` may be changed at any time. Raises `ClipError` on
    entering for a file that is missing, not a video, or without a video track.
    """

    def __init__(self, path: str | Path, duration_s: float | None = None) -> None:
        self._path = Path(path)
        self._limit_s = duration_s
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="clip")
        self._container: InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._began_at: float | None = None
        self._last_time_s: float | None = None
        self.max_framerate: float | None = None
        self.scale_resolution_down_by = 1.0
        self.duration_s: float | None = None
        """Length of what will be played, where the file says it."""
        self.framerate = 30.0
        self.position_s = 0.0
        self.skipped = 0

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
        await self._in_thread(self._close)
        self._executor.shutdown(wait=False)

    async def next_frame(self) -> av.VideoFrame | None:
        """Waits until the next frame is due and returns it; ``None`` at the end of the clip."""
        while True:
            frame = await self._in_thread(self._read)
            if frame is None or (self._limit_s is not None and frame.time >= self._limit_s):
                return None
            now = time.monotonic()
            if self._began_at is None:
                self._began_at = now - frame.time
            late_s = now - (self._began_at + frame.time)
            if late_s > 1.0 / self.framerate or self._too_soon(frame.time):
                self.skipped += 1
                continue
            if late_s < 0:
                await asyncio.sleep(-late_s)
            self._last_time_s = self.position_s = frame.time
            if self.scale_resolution_down_by > 1.0:
                return await self._in_thread(partial(self._scaled, frame))
            return frame

    def _too_soon(self, time_s: float) -> bool:
        if self.max_framerate is None or self._last_time_s is None:
            return False
        # Half a frame of tolerance, so that 15 of 30 fps is every second frame in spite of rounding.
        return time_s - self._last_time_s < 1.0 / self.max_framerate - 0.5 / self.framerate

    def _open(self) -> None:
        try:
            if not self._path.is_file():
                raise ClipError(f"{self._path}: no such file")
            self._container = av.open(str(self._path))
        except (av.FFmpegError, OSError, ValueError) as exc:
            raise ClipError(f"{self._path}: not a video file that can be read") from exc
        if not self._container.streams.video:
            self._close()
            raise ClipError(f"{self._path}: has no video track")
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        self.framerate = float(stream.average_rate or 30)
        if self._container.duration:
            self.duration_s = self._container.duration / av.time_base
        if self._limit_s is not None:
            self.duration_s = min(self._limit_s, self.duration_s or self._limit_s)
        self._frames = self._container.decode(stream)

    def _read(self) -> av.VideoFrame | None:
        try:
            frame = next(self._frames, None)
        except av.FFmpegError as exc:
            raise ClipError(f"{self._path}: cannot be decoded after {self.position_s:.1f} s") from exc
        if frame is not None and frame.time is None:
            raise ClipError(f"{self._path}: its frames have no times; put it into a container such as MP4")
        return frame

    def _scaled(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Even sides, as the encoders want them."""
        width, height = (
            max(2, 2 * round(side / self.scale_resolution_down_by / 2))
            for side in (frame.width, frame.height)
        )
        return frame.reformat(width=width, height=height)

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
