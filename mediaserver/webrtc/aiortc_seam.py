"""Every private name of aiortc and aioice that this project stands on, and nothing else.

aiortc has no setting for what is done here, so its version is pinned, and each name is checked where it is
used: `SeamMoved` says which one is gone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import aioice
import aiortc
from aiortc import RTCIceTransport, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import AnyRtcpPacket, RtpPacket

from mediaserver.webrtc.codecs import VideoCodec, inspect_payload
from mediaserver.webrtc.packet_window import MediaPacket

AIORTC_VERSION = "1.16.0"

_AIOICE_CONNECTION = "_connection"
_GATHER = "get_component_candidates"
_QUERY_CONSENT = "query_consent"
_ENCODER = "_RTCRtpSender__encoder"


class SeamMoved(RuntimeError):
    """The installed aiortc or aioice is not the one that this module was written for; the message says what
    moved."""


class ReceiverSeam:
    """The parts of an `RTCRtpReceiver` that `mediaserver.webrtc.receiver.VideoReceiver` takes over.

    `take_packets` replaces the jitter buffer by one that never yields a frame, so aiortc's unbounded queues
    stay empty, and tells its decoder thread to end before it has begun: aiortc joins that thread on the event
    loop. aiortc calls ``add(packet)`` with retransmissions unwrapped and ``packet._data`` depayloaded.
    """

    JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"
    NACK_GENERATOR = "_RTCRtpReceiver__nack_generator"
    DECODER_QUEUE = "_RTCRtpReceiver__decoder_queue"
    CODECS = "_RTCRtpReceiver__codecs"
    HANDLE_RTCP = "_handle_rtcp_packet"
    SEND_NACK = "_send_rtcp_nack"
    SEND_PLI = "_send_rtcp_pli"
    NAMES = (JITTER_BUFFER, NACK_GENERATOR, DECODER_QUEUE, CODECS, HANDLE_RTCP, SEND_NACK, SEND_PLI)

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        if aiortc.__version__ != AIORTC_VERSION:
            raise SeamMoved(f"aiortc is {aiortc.__version__}, the receive path needs {AIORTC_VERSION}")
        gone = [name for name in self.NAMES if not hasattr(receiver, name)]
        if gone:
            raise SeamMoved(f"aiortc's RTCRtpReceiver no longer has {', '.join(gone)}")
        self._receiver = receiver
        self._handle_packet: Callable[[RtpPacket], None]
        # Filled in by receive(), which may come later.
        self._codecs: dict[int, RTCRtpCodecParameters] = getattr(receiver, self.CODECS)

    def take_packets(self, handle: Callable[[RtpPacket], None]) -> None:
        """From now on ``handle`` gets every media packet and aiortc sends no NACK."""
        self._handle_packet = handle
        setattr(self._receiver, self.JITTER_BUFFER, self)
        setattr(self._receiver, self.NACK_GENERATOR, None)
        getattr(self._receiver, self.DECODER_QUEUE).put(None)

    def take_rtcp(self, handle: Callable[[AnyRtcpPacket], None]) -> None:
        """From now on ``handle`` sees every RTCP packet before aiortc does."""
        original = getattr(self._receiver, self.HANDLE_RTCP)

        async def handle_rtcp_packet(packet: AnyRtcpPacket) -> None:
            handle(packet)
            await original(packet)

        setattr(self._receiver, self.HANDLE_RTCP, handle_rtcp_packet)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Called by aiortc as ``JitterBuffer.add``; answers: no PLI wanted, no frame complete."""
        self._handle_packet(packet)
        return False, None

    def media_packet(self, packet: RtpPacket, arrived: float) -> MediaPacket:
        """The packet in our own terms. Raises ``KeyError`` or ``ValueError`` for a codec that was not
        negotiated or that is not video."""
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
        """Asks the sender for packets; nothing happens while the transport is down."""
        await getattr(self._receiver, self.SEND_NACK)(ssrc, sequence_numbers)

    async def send_pli(self, ssrc: int) -> None:
        """Asks the sender for a keyframe; nothing happens while the transport is down."""
        await getattr(self._receiver, self.SEND_PLI)(ssrc)


def ice_transports(connection: RTCPeerConnection) -> set[RTCIceTransport]:
    """The ICE transports of ``connection``: one, or one for each media section and data channel without
    BUNDLE (RFC 9143)."""
    secured = [transceiver.receiver.transport for transceiver in connection.getTransceivers()]
    if connection.sctp is not None:
        secured.append(connection.sctp.transport)
    return {dtls.transport for dtls in secured}


def gather_only(transport: RTCIceTransport, addresses: list[str]) -> None:
    """Has ``transport`` gather host candidates on ``addresses`` and no others; before it gathers.

    aioice gathers on every address but loopback, and passes its list to a method that is replaced here.
    Raises `SeamMoved`.
    """
    connection = _aioice_connection(transport)
    gather = getattr(connection, _GATHER, None)
    if gather is None or list(inspect.signature(gather).parameters) != ["component", "addresses", "timeout"]:
        raise SeamMoved(f"aioice's Connection no longer has {_GATHER}(component, addresses, timeout)")

    def gather_listed(**arguments: Any) -> Any:
        return gather(**{**arguments, "addresses": addresses})

    setattr(connection, _GATHER, gather_listed)


def stop_consent_checks(transport: RTCIceTransport) -> None:
    """Has the consent checks (RFC 7675) of ``transport`` end at once, also those that have not begun.

    aioice, when it is closed while its connectivity checks succeed, starts consent checks afterwards. With
    nothing left to check they never end. Raises `SeamMoved`.
    """
    connection = _aioice_connection(transport)
    if not hasattr(connection, _QUERY_CONSENT):
        raise SeamMoved(f"aioice's Connection no longer has {_QUERY_CONSENT}()")
    setattr(connection, _QUERY_CONSENT, _no_checks)


class EncoderSeam:
    """The video encoder of an `RTCRtpSender`. Raises `SeamMoved`."""

    def __init__(self, sender: RTCRtpSender) -> None:
        if not hasattr(sender, _ENCODER):
            raise SeamMoved(f"aiortc's RTCRtpSender no longer has {_ENCODER}")
        self._sender = sender

    def limit_bitrate(self, max_bitrate: int) -> None:
        """Lowers the target bitrate, in bits per second, to ``max_bitrate`` where it is above. The encoder
        exists from the first frame on; before, nothing happens."""
        encoder = getattr(self._sender, _ENCODER)
        if encoder is not None:
            encoder.target_bitrate = min(encoder.target_bitrate, max_bitrate)


def _aioice_connection(transport: RTCIceTransport) -> aioice.Connection:
    connection = getattr(transport.iceGatherer, _AIOICE_CONNECTION, None)
    if not isinstance(connection, aioice.Connection):
        raise SeamMoved(f"aiortc's RTCIceGatherer no longer has an aioice.Connection as {_AIOICE_CONNECTION}")
    return connection


async def _no_checks() -> None: ...
