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
from functools import partial
from typing import NamedTuple, Protocol

import av
from aiortc import RTCRtpReceiver
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket

from inference.fair_threads import Lane
from mediaserver.webrtc.aiortc_seam import ReceiverSeam
from mediaserver.webrtc.capture_clock import CaptureClock, MediaTime
from mediaserver.webrtc.decoder import BoundedDecoder, DecodedFrame
from mediaserver.webrtc.frame_assembler import EncodedFrame, FrameAssembler
from mediaserver.webrtc.frame_drops import DropReason
from mediaserver.webrtc.packet_window import MediaPacket

logger = logging.getLogger(__name__)

STALL_TIMEOUT = 0.3
"""Seconds of packets without a picture after which a keyframe is asked for, whatever the cause."""

LATE = 0.02
"""Seconds by which a timer may be late. Later, the event loop was held up: retransmissions that came
meanwhile still wait in the socket, and get as long again to be read before anything is given up."""


FEEDBACK_INTERVAL = 0.005
"""Least seconds between two looks at what is missing: a look costs as much as there are losses, and a packet
that was only overtaken comes meanwhile."""


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


class ReceiveObserver(Protocol):
    """Is told what happens on the way of the frames, on the event loop. Must not raise."""

    def frames_dropped(self, reason: DropReason, count: int) -> None:
        """So many frames, parts of which arrived, were not delivered."""
        ...

    def packets_requested(self, count: int) -> None:
        """So many lost packets were asked for again (NACK, RFC 4585 section 6.2.1)."""
        ...

    def keyframe_requested(self) -> None:
        """A keyframe was asked for (PLI, RFC 4585 section 6.3.1)."""
        ...

    def fault_contained(self) -> None:
        """An exception of our own was kept from aiortc."""
        ...


class VideoReceiver:
    """Delivers the newest decoded frame of an `RTCRtpReceiver` to ``on_frame``, on the event loop.

    Attach before packets flow: in the ``track`` event, or any time before the answer leaves. It is
    decoded in ``lane``. The track's own ``recv()`` never yields then.
    """

    def __init__(
        self,
        seam: ReceiverSeam,
        on_frame: Callable[[ReceivedFrame], None],
        lane: Lane,
        assembler: FrameAssembler,
        observer: ReceiveObserver,
    ) -> None:
        self._seam = seam
        self._on_frame = on_frame
        self._assembler = assembler
        self._observer = observer
        self._decoder = BoundedDecoder(lane, self._deliver, assembler.resync, observer.frames_dropped)
        self._clock = CaptureClock()
        self._media_time = MediaTime()
        self._fault_logged = False
        self.last_packet: float | None = None
        """When the newest packet came, in seconds of ``time.monotonic``."""
        self._waiting_since: float | None = None
        self._feedback_wanted = asyncio.Event()
        self._feedback = asyncio.create_task(self._give_feedback(), name="video-feedback")
        self._closed = False

    @classmethod
    def attach(
        cls,
        receiver: RTCRtpReceiver,
        on_frame: Callable[[ReceivedFrame], None],
        lane: Lane,
        observer: ReceiveObserver,
        *,
        max_wait: float = 0.15,
        keyframe_interval: float = 0.25,
    ) -> VideoReceiver:
        """Takes over ``receiver``. Raises `SeamMoved` if aiortc is not the one this was written for.

        ``max_wait``: seconds that a lost packet may hold frames back; ``keyframe_interval``: least
        seconds between two keyframe requests.
        """
        seam = ReceiverSeam(receiver)
        assembler = FrameAssembler(
            partial(observer.frames_dropped, DropReason.INCOMPLETE),
            max_wait=max_wait,
            keyframe_interval=keyframe_interval,
        )
        video = cls(seam, on_frame, lane, assembler, observer)
        video._decoder.open()
        seam.take_packets(video._handle_packet)
        seam.take_rtcp(video._handle_rtcp)
        seam.leave_out_reports_that_cannot_be_written()
        return video

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
        self.last_packet = now
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
        for frame in frames:
            self._decoder.submit(frame)

    def _deliver(self, frame: DecodedFrame) -> None:
        if self._closed:
            return
        encoded = frame.encoded
        self._waiting_since = None
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
            await asyncio.sleep(FEEDBACK_INTERVAL)

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
            self._observer.packets_requested(len(feedback.nack))
            await self._seam.send_nack(ssrc, feedback.nack)
        if feedback.request_keyframe:
            self._observer.keyframe_requested()
            await self._seam.send_pli(ssrc)

    def _count_fault(self) -> None:
        self._observer.fault_contained()
        if not self._fault_logged:
            self._fault_logged = True
            logger.exception("fault in the receive path, contained; further ones are only counted")
