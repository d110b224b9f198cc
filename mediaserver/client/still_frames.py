"""Every frame of a recording as JPEG, one at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import av

from inference.ocr.geometry import READABLE_SIDE
from inference.types import FRAME_WIDTH
from mediaserver.client.jpeg_encoding import encode_jpeg
from mediaserver.client.recording import Recording, open_recording
from signaling.jpeg import with_pts
from signaling.messages import Limits

T = TypeVar("T")

_QUALITIES = (95, 90, 80, 65, 50, 30, 10)
"""The first that makes a frame small enough. At 95 models find what they find in the picture itself."""

_LOOKED_AT_SIDE = 2 * FRAME_WIDTH
_COMMENT_BYTES = 64
"""At most, with the frame's time."""


@dataclass(frozen=True, slots=True)
class StillFrame:
    """One frame. ``time_s`` is its time in the recording."""

    jpeg: bytes
    time_s: float


class StillFrames:
    """Encodes the frames of one recording, a frame ahead; use ``async with``.

    ``legible`` frames are scaled to the size that OCR uses, others to the size that models use.
    `next` keeps to the rate ``limits`` of the server. Raises `mediaserver.client.errors.ClipError` on
    entering, and in `next`.
    """

    def __init__(self, path: Path, duration_s: float | None, *, limits: Limits, legible: bool) -> None:
        self._path = path
        self._limit_s = duration_s
        self._max_bytes = limits.max_jpeg_bytes
        self._longest_side = READABLE_SIDE if legible else _LOOKED_AT_SIDE
        self._frame_pace = _Pace(limits.max_jpeg_frames_per_s)
        self._byte_pace = _Pace(limits.max_jpeg_bytes_per_s)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="clip")
        self._recording: Recording | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._following: asyncio.Future[StillFrame | None] | None = None
        self.position_s = 0.0

    async def __aenter__(self) -> Self:
        try:
            self._recording = await self._in_thread(lambda: open_recording(self._path))
        except BaseException:
            self._executor.shutdown(wait=False)
            raise
        self._frames = self._recording.frames()
        self._following = self._in_thread(self._encode)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._following is not None:
            await asyncio.gather(self._following, return_exceptions=True)
        await self._in_thread(self._close)
        self._executor.shutdown(wait=False)

    @property
    def duration_s(self) -> float | None:
        """Seconds of the recording that are to come, where it says it."""
        known = None if self._recording is None else self._recording.duration_s
        return known if self._limit_s is None else min(self._limit_s, known or self._limit_s)

    @property
    def damaged(self) -> int:
        """Packets so far that could not be decoded."""
        return 0 if self._recording is None else self._recording.damaged

    @property
    def share(self) -> float:
        """How much is done, 0..1."""
        read = 0.0 if self._recording is None else self._recording.share_read
        return read if self._limit_s is None else max(read, min(1.0, self.position_s / self._limit_s))

    def file_at(self, time_s: float) -> Path:
        """Where the frame at that time is from."""
        return self._path if self._recording is None else self._recording.file_at(time_s)

    async def next(self) -> StillFrame | None:
        """The next frame; ``None`` at the end."""
        if self._following is None:
            return None
        frame = await self._following
        self._following = None if frame is None else self._in_thread(self._encode)
        if frame is not None:
            self.position_s = frame.time_s
            await self._frame_pace.wait(1.0)
            await self._byte_pace.wait(len(frame.jpeg))
        return frame

    def _encode(self) -> StillFrame | None:
        frame = next(self._frames, None)
        if frame is None or (self._limit_s is not None and frame.time >= self._limit_s):
            return None
        data = _jpeg(frame, self._longest_side, self._max_bytes)
        return StillFrame(with_pts(data, frame.time * 1000.0), frame.time)

    def _close(self) -> None:
        if self._recording is not None:
            with self._recording:
                pass

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work)


class _Pace:
    """Holds ``rate`` a second; a second's worth may come at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due = 0.0

    async def wait(self, cost: float) -> None:
        now = time.monotonic()
        self._due = max(self._due, now) + cost / self._rate
        await asyncio.sleep(max(0.0, self._due - now - 1.0))


def _jpeg(frame: av.VideoFrame, longest_side: int, max_bytes: int) -> bytes:
    encodings = (encode_jpeg(frame, longest_side, longest_side, quality) for quality in _QUALITIES)
    return next((data for data in encodings if len(data) + _COMMENT_BYTES <= max_bytes), b"")
