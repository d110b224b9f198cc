"""Receives video from aiortc without its delay: assembly on the marker, repair of losses, capture times.

aiortc's own receiver delays each frame until the next begins. It requests a lost packet once, and drops the
RTP timestamp of sender reports. `VideoReceiver` uses aiortc for transport, SRTP, retransmission unwrapping,
depayloading and receiver reports. It does the rest itself.
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
from mediaserver.errors import is_out_of_memory
from mediaserver.webrtc.aiortc_seam.media import ReceiverSeam
from mediaserver.webrtc.capture_clock import CaptureClock, MediaTime
from mediaserver.webrtc.decoder import BoundedDecoder, DecodedFrame
from mediaserver.webrtc.frame_assembler import EncodedFrame, FrameAssembler
from mediaserver.webrtc.frame_drops import DropReason
from mediaserver.webrtc.packet_window import MediaPacket

logger = logging.getLogger(__name__)

STALL_TIMEOUT = 0.3
"""Seconds of packets without a picture after which a keyframe is requested, for any cause."""

LATE = 0.02
"""Seconds by which a timer may be late. If it is later, the event loop was blocked.

Retransmissions that came meanwhile still wait in the socket. They get the same time again to be read before
losses are given up.
"""


FEEDBACK_INTERVAL = 0.005
"""Least seconds between two polls of the assembler, whose cost grows with the number of losses.

Packets that are only out of order arrive in that time.
"""


class ReceivedFrame(NamedTuple):
    """A decoded frame.

    ``rtp_timestamp`` is raw: 90 kHz, 32 bits. ``pts_ms`` counts from the first frame. ``capture_time_ms`` is
    Unix time on the sender's clock, or on this machine's if it is estimated. ``arrived``, of the frame's last
    packet, and ``decoded`` are in `time.monotonic` seconds.
    """

    picture: av.VideoFrame
    rtp_timestamp: int
    pts_ms: float
    capture_time_ms: float | None
    arrived: float
    decoded: float
    capture_time_estimated: bool = False


class ReceiveObserver(Protocol):
    """Receives events of the receive path, on the event loop. Must not raise."""

    def frames_dropped(self, reason: DropReason, count: int) -> None:
        """``count`` frames of which packets arrived were not delivered."""
        ...

    def packets_requested(self, count: int) -> None:
        """``count`` lost packets were requested again (NACK, RFC 4585 section 6.2.1)."""
        ...

    def keyframe_requested(self) -> None:
        """A keyframe was requested (PLI, RFC 4585 section 6.3.1)."""
        ...

    def memory_ran_out(self) -> None:
        """Memory for receiving or decoding could not be allocated."""
        ...

    def fault_contained(self) -> None:
        """An exception in the receive path was caught, before it could reach aiortc."""
        ...


class VideoReceiver:
    """Delivers the newest decoded frame of an `RTCRtpReceiver` to ``on_frame``, on the event loop.

    Attach it before packets arrive: in the ``track`` event, or before the answer is sent. Frames are decoded
    in ``lane``. The track's own ``recv()`` then yields no frames.
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
        self._decoder = BoundedDecoder(
            *(lane, self._deliver, assembler.resync, observer.frames_dropped, observer.memory_ran_out)
        )
        self._clock = CaptureClock()
        self._media_time = MediaTime()
        self._fault_logged = False
        self.last_packet: float | None = None
        """Arrival of the newest packet, in `time.monotonic` seconds."""
        self._waiting_since: float | None = None
        self._feedback_wanted = asyncio.Event()
        self._feedback: asyncio.Task[None] | None = asyncio.create_task(
            self._give_feedback(), name="video-feedback"
        )
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
        """Takes over ``receiver``. Raises `SeamMoved` if aiortc has another version than expected.

        ``max_wait`` is the time in seconds for which a lost packet may delay frames. ``keyframe_interval`` is
        the least time in seconds between two keyframe requests.
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
        seam.watch_begin(video._could_not_begin)
        return video

    async def close(self) -> None:
        """Stops delivering at once, then waits for the decoding in progress. Idempotent."""
        self._closed = True
        # Drops the task, whose traceback would hold this object.
        feedback, self._feedback = self._feedback, None
        if feedback is not None:
            feedback.cancel()
            await asyncio.wait([feedback])
        await self._decoder.close()
        self._seam.drop_packets()

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
        except Exception:  # noqa: BLE001 - an exception here would make aiortc close the DTLS transport
            self._count_fault()
            self._assembler.resync()

    def _handle_rtcp(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket):
            info = packet.sender_info
            self._clock.report(packet.ssrc, info.ntp_timestamp, info.rtp_timestamp, time.time() * 1000)

    def _decode(self, frames: list[EncodedFrame]) -> None:
        for frame in frames:
            self._decoder.submit(frame)

    def _deliver(self, frame: DecodedFrame) -> None:
        if self._closed:
            return
        encoded, now = frame.encoded, time.monotonic()
        arrived_ms = (time.time() - (now - encoded.arrived)) * 1000
        self._waiting_since = None
        try:
            captured = self._clock.capture_time(encoded.ssrc, encoded.timestamp, arrived_ms)
            self._on_frame(
                ReceivedFrame(
                    picture=frame.picture,
                    rtp_timestamp=encoded.timestamp,
                    pts_ms=self._media_time.pts_ms(encoded.ssrc, encoded.timestamp, encoded.arrived),
                    capture_time_ms=captured.unix_ms,
                    capture_time_estimated=captured.estimated,
                    arrived=encoded.arrived,
                    decoded=now,
                )
            )
        except Exception:  # noqa: BLE001 - a fault in the sink must not end the stream
            self._count_fault()

    def _check_stall(self, media: MediaPacket) -> None:
        """Requests a keyframe if packets arrive but no picture was delivered for 0.3 s.

        It drops nothing, as a keyframe may be arriving slowly over a narrow link.
        """
        if not media.data:
            return
        if self._waiting_since is None:
            self._waiting_since = media.arrived
        elif media.arrived - self._waiting_since > STALL_TIMEOUT and not self._decoder.busy:
            self._waiting_since = media.arrived
            self._assembler.demand_keyframe()

    async def _give_feedback(self) -> None:
        """Sends NACKs and PLIs when they are due, and sleeps while nothing is missing."""
        while True:
            await self._wait_until_due()
            try:
                await self._send_due()
            except Exception:  # noqa: BLE001 - a failed request is repeated, so the task must go on
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

    def _could_not_begin(self, error: Exception) -> None:
        if is_out_of_memory(error):
            self._observer.memory_ran_out()
        else:
            self._count_fault()

    def _count_fault(self) -> None:
        self._observer.fault_contained()
        if not self._fault_logged:
            self._fault_logged = True
            logger.exception("fault in the receive path, contained; further ones are only counted")
