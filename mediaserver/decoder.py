"""Decoding off the event loop, bounded: when it falls behind it skips to a keyframe instead of queueing."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Literal

import av
from av.codec.context import Flags

from mediaserver.frame_assembly import EncodedFrame, VideoCodec

logger = logging.getLogger(__name__)

MAX_PENDING = 8
"""Encoded frames that may wait for the decoder: about a quarter second at 30 fps. A decoder that was held
up for less catches up, which is cheaper than a keyframe."""

_DECODERS: dict[VideoCodec, Literal["libvpx", "h264"]] = {VideoCodec.VP8: "libvpx", VideoCodec.H264: "h264"}


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A picture and the encoded frame that it came from."""

    encoded: EncodedFrame
    picture: av.VideoFrame


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of consecutive frames. After ``failed`` only a keyframe can be decoded."""

    newest: DecodedFrame | None
    decoded: int
    undecodable: int = 0
    corrupt: int = 0
    failed: bool = False


class FrameDecoder:
    """One stream's decoder state. For any thread, but one at a time."""

    def __init__(self) -> None:
        self._codec: VideoCodec | None = None
        self._context: av.VideoCodecContext | None = None

    def decode(self, frames: Sequence[EncodedFrame]) -> Batch:
        """Decodes consecutive frames, oldest first, and keeps the newest picture. Stops at the first one
        that is broken; the decoder then begins anew, so the next frame must be a keyframe."""
        newest = None
        for done, frame in enumerate(frames):
            context = self._context_for(frame.codec)
            left = len(frames) - done
            try:
                # Never empty data: to FFmpeg that means end of stream.
                pictures = context.decode(av.Packet(frame.data))
            except av.FFmpegError as error:
                logger.debug("undecodable %s frame: %s", frame.codec, error)
                self._context = None
                return Batch(newest, done, undecodable=left, failed=True)
            if any(picture.is_corrupt for picture in pictures):
                self._context = None
                return Batch(newest, done, undecodable=left - 1, corrupt=1, failed=True)
            if pictures:
                newest = DecodedFrame(frame, pictures[-1])
        return Batch(newest, len(frames))

    def _context_for(self, codec: VideoCodec) -> av.VideoCodecContext:
        if self._context is None or codec is not self._codec:
            self._codec = codec
            self._context = _open_context(_DECODERS[codec])
        return self._context


def _open_context(name: Literal["libvpx", "h264"]) -> av.VideoCodecContext:
    context = av.CodecContext.create(name, "r")
    # Frame threads would hold a picture back for each thread; so would H.264 reordering, which no WebRTC
    # sender uses.
    context.thread_count = 1
    context.flags |= Flags.low_delay
    return context


class BoundedDecoder:
    """Feeds a `FrameDecoder` in ``executor``, at most one job at a time, from at most `MAX_PENDING` frames.

    ``on_picture`` gets the newest picture of each job, ``on_reference_lost`` is told that only a keyframe
    helps; both are called on the event loop, and not after `close`. The counters are of frames.
    """

    def __init__(
        self,
        executor: Executor,
        on_picture: Callable[[DecodedFrame], None],
        on_reference_lost: Callable[[], None],
    ) -> None:
        self.decoded = 0
        self.superseded = 0
        self.behind = 0
        self.undecodable = 0
        self.corrupt = 0
        self._executor = executor
        self._on_picture = on_picture
        self._on_reference_lost = on_reference_lost
        self._decoder = FrameDecoder()
        self._pending: deque[EncodedFrame] = deque()
        self._loop = asyncio.get_running_loop()
        self._job: Future[Batch] | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job is waiting for a thread or running in one."""
        return self._job is not None

    def submit(self, frame: EncodedFrame) -> None:
        """Takes the next frame. Frames from a lost reference up to the next keyframe must not come."""
        if self._closed:
            return
        if frame.keyframe:
            self.superseded += len(self._pending)
            self._pending.clear()
        elif len(self._pending) == MAX_PENDING:
            self.behind += len(self._pending) + 1
            self._pending.clear()
            self._on_reference_lost()
            return
        self._pending.append(frame)
        if self._job is None:
            self._start()

    async def close(self) -> None:
        """Drops what is pending and waits for the job in progress. Idempotent."""
        self._closed = True
        self._pending.clear()
        if self._job is not None:
            await asyncio.wait([asyncio.wrap_future(self._job)])
            self._job = None

    def _start(self) -> None:
        batch = tuple(self._pending)
        self._pending.clear()
        # Not run_in_executor: its chain of two futures costs more than all of the assembly.
        self._job = self._executor.submit(self._decoder.decode, batch)
        self._job.add_done_callback(lambda job: self._loop.call_soon_threadsafe(self._finish, job))

    def _finish(self, job: Future[Batch]) -> None:
        self._job = None
        if self._closed or job.cancelled():
            return
        batch = job.result()
        self.decoded += batch.decoded
        self.undecodable += batch.undecodable
        self.corrupt += batch.corrupt
        if batch.failed and not (self._pending and self._pending[0].keyframe):
            self.undecodable += len(self._pending)
            self._pending.clear()
            self._on_reference_lost()
        if self._pending:
            self._start()
        if batch.newest is not None:
            self.superseded += batch.decoded - 1
            self._on_picture(batch.newest)
