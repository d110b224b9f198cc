"""Decodes video in threads. A decoder that falls behind skips to a keyframe instead of queueing frames."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import av
from av.codec.context import Flags

from inference.fair_threads import Lane
from mediaserver.errors import is_out_of_memory
from mediaserver.webrtc.codecs import FFMPEG_DECODERS, FfmpegDecoder, VideoCodec
from mediaserver.webrtc.frame_assembler import EncodedFrame
from mediaserver.webrtc.frame_drops import DropReason, OnDrop

logger = logging.getLogger(__name__)

MAX_PENDING = 8
"""Encoded frames that may wait for the decoder, about a quarter second at 30 fps.

After a shorter delay the decoder catches up, which is cheaper than a keyframe.
"""

MAX_PIXELS = 36_864 * 16 * 16
"""Pixels of a picture at most, 4096×2304: H.264's levels 5.1 and 5.2 in macroblocks (H.264, table A-1).

A larger picture is rejected by its header, before memory is allocated.
"""


class DecodedFrame(NamedTuple):
    """A picture, and the encoded frame that it was decoded from."""

    encoded: EncodedFrame
    picture: av.VideoFrame


class Batch(NamedTuple):
    """The outcome of decoding consecutive frames. The numbers count frames.

    After ``failed`` only a keyframe can be decoded. After ``out_of_memory`` nothing can.
    """

    newest: DecodedFrame | None
    decoded: int
    undecodable: int = 0
    corrupt: int = 0
    failed: bool = False
    out_of_memory: bool = False


class FrameDecoder:
    """The decoder state of one stream. Usable from any thread, but from one at a time."""

    def __init__(self) -> None:
        self._contexts: dict[VideoCodec, av.VideoCodecContext] = {}

    def open(self) -> None:
        """Opens a decoder for each codec, so that the first frame does not wait for it."""
        with suppress(MemoryError):  # the first frame will report it
            for codec in VideoCodec:
                self._context_for(codec)

    def decode(self, frames: Sequence[EncodedFrame]) -> Batch:
        """Decodes consecutive frames, oldest first, and keeps the newest picture.

        It stops at the first broken frame, and resets the decoder. The next frame must then be a keyframe.
        """
        newest = None
        for done, frame in enumerate(frames):
            left = len(frames) - done
            try:
                # Data is not empty, which FFmpeg would take for the end of the stream.
                pictures = self._context_for(frame.codec).decode(av.Packet(frame.data))
            except Exception as error:  # noqa: BLE001 - after any error only a keyframe helps
                logger.debug("undecodable %s frame: %s", frame.codec, error)
                self._contexts.pop(frame.codec, None)
                out_of_memory = is_out_of_memory(error)
                return Batch(newest, done, undecodable=left, failed=True, out_of_memory=out_of_memory)
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
    # Frame threads delay pictures by one per thread. H.264 reordering, which WebRTC does not use, would, too.
    context.thread_count = 1
    context.flags |= Flags.low_delay
    context.options = {"max_pixels": str(MAX_PIXELS)}
    context.open()
    return context


class BoundedDecoder:
    """Runs a `FrameDecoder` in ``lane``, one job at a time, with `MAX_PENDING` waiting frames at most.

    ``on_picture`` gets the newest picture of each job. ``on_reference_lost`` is called if only a keyframe
    helps, ``on_drop`` for frames without a picture, and ``on_memory_error`` if memory is exhausted. All are
    called on the event loop, and not after `close`.
    """

    def __init__(
        self,
        lane: Lane,
        on_picture: Callable[[DecodedFrame], None],
        on_reference_lost: Callable[[], None],
        on_drop: OnDrop,
        on_memory_error: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._on_picture = on_picture
        self._on_reference_lost = on_reference_lost
        self._on_drop = on_drop
        self._on_memory_error = on_memory_error
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
        """Takes the next frame. After a lost reference the caller must wait for a keyframe."""
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
        """Drops waiting frames, and waits for the job in progress. Idempotent."""
        self._closed = True
        self._pending.clear()
        await self._idle.wait()
        # Breaks the reference cycle with the owner, so that both are freed at once.
        self._on_picture, self._on_reference_lost, self._on_drop = _ignore, _ignore, _ignore
        self._on_memory_error = _ignore

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
            if batch.out_of_memory:
                self._on_memory_error()
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


def _ignore(*_: object) -> None: ...
