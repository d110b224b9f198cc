"""Receivers, senders and their codecs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import aiortc
import aiortc.rtp
from aiortc import (
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
)
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcrtpsender import RTCEncodedFrame
from aiortc.rtp import (
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    RtpPacket,
    unpack_remb_fci,
)

from mediaserver.webrtc.aiortc_seam.names import AIORTC_VERSION, SeamMoved, attribute
from mediaserver.webrtc.codecs import VideoCodec, inspect_payload
from mediaserver.webrtc.packet_window import MediaPacket

_ENCODER = "_RTCRtpSender__encoder"
_CODECS = "_codecs"
_HANDLE_RTCP = "_handle_rtcp_packet"
_SEND_RTCP = "_send_rtcp"
_NEXT_ENCODED_FRAME = "_next_encoded_frame"
_SSRC = "_ssrc"


class ReceiverSeam:
    """The parts of an `RTCRtpReceiver` that `mediaserver.webrtc.receiver.VideoReceiver` takes over.

    `take_packets` replaces the jitter buffer by this object, which yields no frames. So aiortc's unbounded
    queues stay empty. It also ends the decoder thread at once, as aiortc would join it on the event loop.
    aiortc calls ``add(packet)`` with retransmissions unwrapped and ``packet._data`` depayloaded.
    """

    JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"
    NACK_GENERATOR = "_RTCRtpReceiver__nack_generator"
    DECODER_QUEUE = "_RTCRtpReceiver__decoder_queue"
    CODECS = "_RTCRtpReceiver__codecs"
    HANDLE_RTCP = _HANDLE_RTCP
    SEND_RTCP = _SEND_RTCP
    SEND_NACK = "_send_rtcp_nack"
    SEND_PLI = "_send_rtcp_pli"
    RECEIVE = "receive"
    NAMES = (
        *(JITTER_BUFFER, NACK_GENERATOR, DECODER_QUEUE, CODECS),
        *(HANDLE_RTCP, SEND_RTCP, SEND_NACK, SEND_PLI),
    )

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        if aiortc.__version__ != AIORTC_VERSION:
            raise SeamMoved(f"aiortc is {aiortc.__version__}, the receive path needs {AIORTC_VERSION}")
        gone = [name for name in self.NAMES if not hasattr(receiver, name)]
        if gone:
            raise SeamMoved(f"aiortc's RTCRtpReceiver no longer has {', '.join(gone)}")
        self._receiver = receiver
        self._handle_packet: Callable[[RtpPacket], None]
        # receive(), which may be called later, fills it.
        self._codecs: dict[int, RTCRtpCodecParameters] = getattr(receiver, self.CODECS)

    def take_packets(self, handle: Callable[[RtpPacket], None]) -> None:
        """Passes all media packets to ``handle``, and stops aiortc's NACKs."""
        self._handle_packet = handle
        setattr(self._receiver, self.JITTER_BUFFER, self)
        setattr(self._receiver, self.NACK_GENERATOR, None)
        getattr(self._receiver, self.DECODER_QUEUE).put(None)

    def drop_packets(self) -> None:
        """Drops all media packets from now on."""
        self._handle_packet = _drop

    def take_rtcp(self, handle: Callable[[AnyRtcpPacket], None]) -> None:
        """Passes all RTCP packets to ``handle`` before aiortc handles them."""
        original = getattr(self._receiver, self.HANDLE_RTCP)

        async def handle_rtcp_packet(packet: AnyRtcpPacket) -> None:
            handle(packet)
            await original(packet)

        setattr(self._receiver, self.HANDLE_RTCP, handle_rtcp_packet)

    def leave_out_reports_that_cannot_be_written(self) -> None:
        """Skips receiver reports that cannot be encoded.

        If a sender's timestamps jump, the jitter may exceed its 32 bits (RFC 3550 section 6.4.1). The error
        would end aiortc's reporting task, and closing would then wait for that task.
        """
        send = getattr(self._receiver, self.SEND_RTCP)

        async def send_rtcp(packet: AnyRtcpPacket) -> None:
            with suppress(struct.error):
                await send(packet)

        setattr(self._receiver, self.SEND_RTCP, send_rtcp)

    def watch_begin(self, failed: Callable[[Exception], None]) -> None:
        """Calls ``failed`` if the receiver cannot start, so that no packets will come.

        aiortc starts a thread for each receiver, and does not report a failure.
        """
        receive = self._receiver.receive

        async def receive_watched(parameters: RTCRtpReceiveParameters) -> None:
            try:
                await receive(parameters)
            except Exception as exc:  # noqa: BLE001 - reported to the caller
                failed(exc)

        setattr(self._receiver, self.RECEIVE, receive_watched)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Implements ``JitterBuffer.add`` of aiortc. The result means: no PLI needed, no frame complete."""
        self._handle_packet(packet)
        return False, None

    def media_packet(self, packet: RtpPacket, arrived: float) -> MediaPacket:
        """Converts a packet. ``arrived`` is in `time.monotonic` seconds.

        Raises ``KeyError`` or ``ValueError`` for a codec that was not negotiated, or is not video.
        """
        codec = VideoCodec(self._codecs[packet.payload_type].name.upper())
        data: bytes = packet._data  # type: ignore[attr-defined]
        begins_frame, keyframe = inspect_payload(codec, packet.payload, data)
        return MediaPacket(
            ssrc=packet.ssrc,
            sequence_number=packet.sequence_number,
            timestamp=packet.timestamp,
            marker=bool(packet.marker),
            codec=codec,
            data=data,
            arrived=arrived,
            begins_frame=begins_frame,
            keyframe=keyframe,
        )

    async def send_nack(self, ssrc: int, sequence_numbers: list[int]) -> None:
        """Requests packets from the sender; does nothing while the transport is down."""
        await getattr(self._receiver, self.SEND_NACK)(ssrc, sequence_numbers)

    async def send_pli(self, ssrc: int) -> None:
        """Requests a keyframe from the sender; does nothing while the transport is down."""
        await getattr(self._receiver, self.SEND_PLI)(ssrc)


class SendPolicy(Protocol):
    """Decides how a sender reacts to feedback of the other side."""

    def take_estimate(self, bitrate: int) -> None:
        """Takes the other side's estimate of the bit rate in bits per second (REMB,
        draft-alvestrand-rmcat-remb)."""
        ...

    def repeats(self, count: int) -> int:
        """Returns how many of ``count`` requested packets (NACK) are sent again."""
        ...

    def sends_keyframe(self) -> bool:
        """Whether a requested keyframe (PLI, FIR) is made."""
        ...


class SenderSeam:
    """The video encoder of an `RTCRtpSender`, and its reaction to feedback. Raises `SeamMoved`."""

    def __init__(self, sender: RTCRtpSender, policy: SendPolicy) -> None:
        """Makes ``policy`` decide on feedback.

        aiortc itself follows estimates down to a floor, and sends all requested packets and keyframes.
        """
        attribute(sender, _ENCODER)
        attribute(sender, _SSRC)
        self._sender = sender
        self._policy = policy
        self._handle = attribute(sender, _HANDLE_RTCP)
        setattr(sender, _HANDLE_RTCP, self._handle_rtcp_packet)

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        match packet:
            case RtcpPsfbPacket(fmt=aiortc.rtp.RTCP_PSFB_APP):
                with suppress(ValueError):
                    bitrate, sources = unpack_remb_fci(packet.fci)
                    if getattr(self._sender, _SSRC) in sources:
                        self._policy.take_estimate(bitrate)
                return
            case RtcpPsfbPacket(fmt=aiortc.rtp.RTCP_PSFB_PLI | aiortc.rtp.RTCP_PSFB_FIR):
                if not self._policy.sends_keyframe():
                    return
            case RtcpRtpfbPacket(fmt=aiortc.rtp.RTCP_RTPFB_NACK):
                packet.lost = packet.lost[: self._policy.repeats(len(packet.lost))]
        await self._handle(packet)

    def set_bitrate(self, bitrate: int) -> None:
        """Sets the target in bits per second, also below the floor of aiortc's setter.

        It does nothing before the first frame, when the encoder does not exist yet.
        """
        encoder = getattr(self._sender, _ENCODER)
        if encoder is not None:
            name = f"_{type(encoder).__name__}__target_bitrate"
            attribute(encoder, name)
            setattr(encoder, name, bitrate)


class ReportSeam:
    """The sender reports of an `RTCRtpSender`, with capture times. Raises `SeamMoved`.

    aiortc itself reports the time at which a frame's last packet was sent. Under load that is hundreds of
    milliseconds after the capture.
    """

    def __init__(self, sender: RTCRtpSender, ntp_timestamp: Callable[[int], int | None]) -> None:
        """``ntp_timestamp`` maps a frame's RTP timestamp to its capture time, 64-bit NTP, or ``None``."""
        self._ntp_timestamp = ntp_timestamp
        self._newest: int | None = None
        encode, send = attribute(sender, _NEXT_ENCODED_FRAME), attribute(sender, _SEND_RTCP)

        async def next_encoded_frame(codec: RTCRtpCodecParameters) -> RTCEncodedFrame | None:
            frame: RTCEncodedFrame | None = await encode(codec)
            if frame is not None:
                self._newest = frame.timestamp
            return frame

        async def send_rtcp(packets: list[AnyRtcpPacket]) -> None:
            for packet in packets:
                if isinstance(packet, RtcpSrPacket):
                    self._date(packet)
            await send(packets)

        setattr(sender, _NEXT_ENCODED_FRAME, next_encoded_frame)
        setattr(sender, _SEND_RTCP, send_rtcp)

    def _date(self, report: RtcpSrPacket) -> None:
        captured = None if self._newest is None else self._ntp_timestamp(self._newest)
        if captured is not None:
            report.sender_info.ntp_timestamp = captured


def _drop(packet: RtpPacket) -> None: ...


def use_codecs(transceiver: RTCRtpTransceiver, codecs: list[RTCRtpCodecParameters]) -> None:
    """Makes ``transceiver`` answer with ``codecs``. Call it after the offer was set. Raises `SeamMoved`."""
    attribute(transceiver, _CODECS)
    setattr(transceiver, _CODECS, codecs)
