"""Video from aiortc without its delay: assembly on the marker, repair of losses, capture times.

aiortc's receiver holds each frame until the next one begins, asks for a lost packet once, and forgets the
RTP half of sender reports. `VideoReceiver` leaves it the transport, SRTP, retransmission unwrapping,
depayloading and receiver reports, and does the rest itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import av
from aiortc import RTCRtpReceiver
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket

from mediaserver.webrtc.aiortc_seam import ReceiverSeam
from mediaserver.webrtc.capture_clock import CaptureClock, MediaTime
from mediaserver.webrtc.decode_threads import DecodeThreads
from mediaserver.webrtc.decoder import BoundedDecoder, DecodedFrame
from mediaserver.webrtc.frame_assembler import EncodedFrame, FrameAssembler, MediaPacket

logger = logging.getLogger(__name__)

STALL_TIMEOUT = 0.3
"""Seconds of packets without a picture after which a keyframe is asked for, whatever the cause."""

LATE = 0.02
"""Seconds by which a timer may be late. Later, the event loop was held up: retransmissions that came
meanwhile still wait in the socket, and get as long again to be read before anything is given up."""


class DropReason(StrEnum):
    """Why a frame, part of which arrived, was not delivered."""

    INCOMPLETE = "incomplete"
    """A packet never came, or the frame builds on one that is missing."""
    UNDECODABLE = "undecodable"
    CORRUPT = "corrupt"
    DECODER_BEHIND = "decoder_behind"
    SUPERSEDED = "superseded"
    """A newer one was decoded before this one could be delivered."""


class ReceivedFrame(NamedTuple):
    """A decoded frame. ``rtp_timestamp`` is raw: 90 kHz, 32 bits; ``pts_ms`` counts from the first frame;
    ``capture_time_ms`` is Unix time in the sender's clock, ``None`` before its first sender report.
    ``arrived`` (of the frame's last packet) and ``decoded`` are seconds of ``time.monotonic``."""

    picture: av.VideoFrame
    rtp_timestamp: int
    pts_ms: float
    capture_time_ms: float | None
    arrived: float
    decoded: float


@dataclass(frozen=True, slots=True)
class ReceiveStats:
    """Counters since attaching. ``last_packet`` is in seconds of ``time.monotonic``, ``rtt`` in seconds;
    ``faults`` counts exceptions of our own that were contained."""

    packets: int
    frames_assembled: int
    frames_decoded: int
    frames_delivered: int
    dropped: dict[DropReason, int]
    nacks: int
    plis: int
    faults: int
    last_packet: float | None
    rtt: float


class VideoReceiver:
    """Delivers the newest decoded frame of an `RTCRtpReceiver` to ``on_frame``, on the event loop.

    Attach before packets flow: in the ``track`` event, or any time before the answer leaves. ``threads``
    decode, and may be shared by all receivers. The track's own ``recv()`` never yields then.
    """

    def __init__(
        self,
        seam: ReceiverSeam,
        on_frame: Callable[[ReceivedFrame], None],
        threads: DecodeThreads,
        assembler: FrameAssembler,
    ) -> None:
        self._seam = seam
        self._on_frame = on_frame
        self._assembler = assembler
        self._decoder = BoundedDecoder(threads, self._deliver, assembler.resync)
        self._clock = CaptureClock()
        self._media_time = MediaTime()
        self._packets = self._assembled = self._delivered = 0
        self._nacks = self._plis = self._faults = 0
        self._last_packet: float | None = None
        self._waiting_since: float | None = None
        self._feedback_wanted = asyncio.Event()
        self._feedback = asyncio.create_task(self._give_feedback(), name="video-feedback")
        self._closed = False

    @classmethod
    def attach(
        cls,
        receiver: RTCRtpReceiver,
        on_frame: Callable[[ReceivedFrame], None],
        threads: DecodeThreads,
        *,
        max_wait: float = 0.15,
        keyframe_interval: float = 0.25,
    ) -> VideoReceiver:
        """Takes over ``receiver``. Raises `SeamMoved` if aiortc is not the one this was written for.

        ``max_wait``: seconds that a lost packet may hold frames back; ``keyframe_interval``: least
        seconds between two keyframe requests.
        """
        seam = ReceiverSeam(receiver)
        assembler = FrameAssembler(max_wait=max_wait, keyframe_interval=keyframe_interval)
        video = cls(seam, on_frame, threads, assembler)
        video._decoder.open()
        seam.take_packets(video._handle_packet)
        seam.take_rtcp(video._handle_rtcp)
        return video

    @property
    def stats(self) -> ReceiveStats:
        """A snapshot of the counters."""
        return ReceiveStats(
            packets=self._packets,
            frames_assembled=self._assembled,
            frames_decoded=self._decoder.decoded,
            frames_delivered=self._delivered,
            dropped={
                DropReason.INCOMPLETE: self._assembler.dropped,
                DropReason.UNDECODABLE: self._decoder.undecodable,
                DropReason.CORRUPT: self._decoder.corrupt,
                DropReason.DECODER_BEHIND: self._decoder.behind,
                DropReason.SUPERSEDED: self._decoder.superseded,
            },
            nacks=self._nacks,
            plis=self._plis,
            faults=self._faults,
            last_packet=self._last_packet,
            rtt=self._assembler.rtt,
        )

    async def close(self) -> None:
        """Stops delivering at once, then waits for the decoding in progress. Idempotent."""
        self._closed = True
        self._feedback.cancel()
        await asyncio.wait([self._feedback])
        await self._decoder.close()

    def _handle_packet(self, packet: RtpPacket) -> None:
        if self._closed:
            return
        now = time.monotonic()
        self._packets += 1
        self._last_packet = now
        try:
            media = self._seam.media_packet(packet, now)
            self._check_stall(media)
            self._decode(self._assembler.add(media))
            if self._assembler.due is not None:
                self._feedback_wanted.set()
        except Exception:  # noqa: BLE001 - in aiortc an exception here closes the whole DTLS transport
            self._count_fault()
            self._assembler.resync()

    def _handle_rtcp(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket):
            info = packet.sender_info
            self._clock.report(packet.ssrc, info.ntp_timestamp, info.rtp_timestamp)

    def _decode(self, frames: list[EncodedFrame]) -> None:
        self._assembled += len(frames)
        for frame in frames:
            self._decoder.submit(frame)

    def _deliver(self, frame: DecodedFrame) -> None:
        if self._closed:
            return
        encoded = frame.encoded
        self._waiting_since = None
        self._delivered += 1
        try:
            self._on_frame(
                ReceivedFrame(
                    picture=frame.picture,
                    rtp_timestamp=encoded.timestamp,
                    pts_ms=self._media_time.pts_ms(encoded.ssrc, encoded.timestamp, encoded.arrived),
                    capture_time_ms=self._clock.capture_time_ms(encoded.ssrc, encoded.timestamp),
                    arrived=encoded.arrived,
                    decoded=time.monotonic(),
                )
            )
        except Exception:  # noqa: BLE001 - the sink's fault is not the stream's
            self._count_fault()

    def _check_stall(self, media: MediaPacket) -> None:
        """The last resort against a silent freeze. It drops nothing: a keyframe may be on its way through
        a link so narrow that it takes longer."""
        if not media.data:
            return
        if self._waiting_since is None:
            self._waiting_since = media.arrived
        elif media.arrived - self._waiting_since > STALL_TIMEOUT and not self._decoder.busy:
            self._waiting_since = media.arrived
            self._assembler.demand_keyframe()

    async def _give_feedback(self) -> None:
        """Sends NACKs and PLIs when they are due; sleeps while nothing is missing."""
        while True:
            await self._wait_until_due()
            try:
                await self._send_due()
            except Exception:  # noqa: BLE001 - a failed request is repeated; a dead task would not be
                self._count_fault()

    async def _wait_until_due(self) -> None:
        due = self._assembler.due
        with suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else due - time.monotonic()):
                await self._feedback_wanted.wait()
        self._feedback_wanted.clear()
        if due is not None and time.monotonic() - due > LATE:
            await asyncio.sleep(LATE)

    async def _send_due(self) -> None:
        feedback = self._assembler.poll(time.monotonic())
        self._decode(feedback.frames)
        ssrc = self._assembler.ssrc
        if ssrc is None:
            return
        if feedback.nack:
            self._nacks += len(feedback.nack)
            await self._seam.send_nack(ssrc, feedback.nack)
        if feedback.request_keyframe:
            self._plis += 1
            await self._seam.send_pli(ssrc)

    def _count_fault(self) -> None:
        self._faults += 1
        if self._faults == 1:
            logger.exception("fault in the receive path, contained; further ones are only counted")
