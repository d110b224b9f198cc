"""Decoding off the event loop, bounded: when it falls behind it skips to a keyframe instead of queueing."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import av
from av.codec.context import Flags

from inference.fair_threads import Lane
from mediaserver.webrtc.codecs import FFMPEG_DECODERS, FfmpegDecoder, VideoCodec
from mediaserver.webrtc.frame_assembler import EncodedFrame
from mediaserver.webrtc.frame_drops import DropReason, OnDrop

logger = logging.getLogger(__name__)

MAX_PENDING = 8
"""Encoded frames that may wait for the decoder: about a quarter second at 30 fps. A decoder that was held
up for less catches up, which is cheaper than a keyframe."""

MAX_PIXELS = 4096 * 4096
"""A larger picture is refused by its header, before memory is taken for it: a few bytes can announce one."""


class DecodedFrame(NamedTuple):
    """A picture and the encoded frame that it came from."""

    encoded: EncodedFrame
    picture: av.VideoFrame


class Batch(NamedTuple):
    """What became of consecutive frames. After ``failed`` only a keyframe can be decoded."""

    newest: DecodedFrame | None
    decoded: int
    undecodable: int = 0
    corrupt: int = 0
    failed: bool = False


class FrameDecoder:
    """One stream's decoder state. For any thread, but one at a time."""

    def __init__(self) -> None:
        self._contexts: dict[VideoCodec, av.VideoCodecContext] = {}

    def open(self) -> None:
        """Opens a decoder for each codec, so that the first frame does not wait for it."""
        for codec in VideoCodec:
            self._context_for(codec)

    def decode(self, frames: Sequence[EncodedFrame]) -> Batch:
        """Decodes consecutive frames, oldest first, and keeps the newest picture. Stops at the first one
        that is broken; the decoder then begins anew, so the next frame must be a keyframe."""
        newest = None
        for done, frame in enumerate(frames):
            left = len(frames) - done
            try:
                # Never empty data: to FFmpeg that means end of stream.
                pictures = self._context_for(frame.codec).decode(av.Packet(frame.data))
            except Exception as error:  # noqa: BLE001 - whatever it is, only a keyframe helps now
                logger.debug("undecodable %s frame: %s", frame.codec, error)
                self._contexts.pop(frame.codec, None)
                return Batch(newest, done, undecodable=left, failed=True)
            if any(picture.is_corrupt for picture in pictures):
                del self._contexts[frame.codec]
                return Batch(newest, done, undecodable=left - 1, corrupt=1, failed=True)
            if pictures:
                newest = DecodedFrame(frame, pictures[-1])
        return Batch(newest, len(frames))

    def _context_for(self, codec: VideoCodec) -> av.VideoCodecContext:
        context = self._contexts.get(codec)
        if context is None:
            context = self._contexts[codec] = _open_context(FFMPEG_DECODERS[codec])
        return context


def _open_context(name: FfmpegDecoder) -> av.VideoCodecContext:
    context = av.CodecContext.create(name, "r")
    # Frame threads would hold a picture back for each thread; so would H.264 reordering, which no WebRTC
    # sender uses.
    context.thread_count = 1
    context.flags |= Flags.low_delay
    context.options = {"max_pixels": str(MAX_PIXELS)}
    context.open()
    return context


class BoundedDecoder:
    """Feeds a `FrameDecoder` in ``lane``, at most one job at a time, from at most `MAX_PENDING` frames.

    ``on_picture`` gets the newest picture of each job, ``on_reference_lost`` is told that only a keyframe
    helps, ``on_drop`` of frames that give no picture; all are called on the event loop, and not after
    `close`.
    """

    def __init__(
        self,
        lane: Lane,
        on_picture: Callable[[DecodedFrame], None],
        on_reference_lost: Callable[[], None],
        on_drop: OnDrop,
    ) -> None:
        self._lane = lane
        self._on_picture = on_picture
        self._on_reference_lost = on_reference_lost
        self._on_drop = on_drop
        self._decoder = FrameDecoder()
        self._pending: deque[EncodedFrame] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job is waiting for a thread or running in one."""
        return not self._idle.is_set()

    def open(self) -> None:
        """Opens the decoders ahead of the first frame; call before `submit`."""
        self._run(self._decoder.open)

    def submit(self, frame: EncodedFrame) -> None:
        """Takes the next frame. Frames from a lost reference up to the next keyframe must not come."""
        if self._closed:
            return
        if frame.keyframe:
            self._drop(DropReason.SUPERSEDED, len(self._pending))
            self._pending.clear()
        elif len(self._pending) == MAX_PENDING:
            self._drop(DropReason.DECODER_BEHIND, len(self._pending) + 1)
            self._pending.clear()
            self._on_reference_lost()
            return
        self._pending.append(frame)
        if self._idle.is_set():
            self._start()

    async def close(self) -> None:
        """Drops what is pending and waits for the job in progress. Idempotent."""
        self._closed = True
        self._pending.clear()
        await self._idle.wait()

    def _start(self) -> None:
        batch = tuple(self._pending)
        self._pending.clear()
        self._run(self._decoder.decode, batch)

    def _run(self, work: Callable[..., Batch | None], *arguments: Sequence[EncodedFrame]) -> None:
        self._lane.call(self._finish, work, *arguments)
        self._idle.clear()

    def _finish(self, batch: Batch | None) -> None:
        self._idle.set()
        if self._closed:
            return
        if batch is not None:
            self._count(batch)
        if self._pending:
            self._start()
        if batch is not None and batch.newest is not None:
            self._on_picture(batch.newest)

    def _count(self, batch: Batch) -> None:
        self._drop(DropReason.UNDECODABLE, batch.undecodable)
        self._drop(DropReason.CORRUPT, batch.corrupt)
        if batch.newest is not None:
            self._drop(DropReason.SUPERSEDED, batch.decoded - 1)
        if batch.failed and not (self._pending and self._pending[0].keyframe):
            self._drop(DropReason.UNDECODABLE, len(self._pending))
            self._pending.clear()
            self._on_reference_lost()

    def _drop(self, reason: DropReason, count: int) -> None:
        if count:
            self._on_drop(reason, count)
