"""Every private name of aiortc and aioice that this project stands on, and nothing else.

aiortc has no setting for what is done here, so its version is pinned, and each name is checked where it is
used: `SeamMoved` says which one is gone.
"""

from __future__ import annotations

import asyncio
import inspect
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import aioice
import aiortc
from aiortc import (
    RTCDtlsTransport,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSctpTransport,
)
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcsctptransport import Chunk, DataChunk
from aiortc.rtp import AnyRtcpPacket, RtpPacket

from mediaserver.webrtc.codecs import VideoCodec, inspect_payload
from mediaserver.webrtc.datagram_guard import ArrivalClock, DatagramGuard
from mediaserver.webrtc.packet_window import MediaPacket
from mediaserver.webrtc.sctp_policy import SctpPolicy, Verdict, is_well_formed

Refuse: TypeAlias = Callable[[str], None]
"""Is told, in words, what no well-meaning client sends: the peer connection ends."""

AIORTC_VERSION = "1.16.0"

_PARSE_ERRORS = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, struct.error)
"""What aiortc raises, of all kinds, for packets that make no sense."""

_AIOICE_CONNECTION = "_connection"
_GATHER = "get_component_candidates"
_QUERY_CONSENT = "query_consent"
_CHECK_INCOMING = "check_incoming"
_REQUEST_RECEIVED = "request_received"
_DATA_RECEIVED = "data_received"
_DATAGRAM_RECEIVED = "datagram_received"
_PROTOCOLS = "_protocols"
_QUEUE = "_queue"
_HANDLE_RTP, _HANDLE_RTCP, _HANDLE_DATA = "_handle_rtp_data", "_handle_rtcp_data", "_handle_data"
_RECEIVE_CHUNK, _MARK_RECEIVED = "_receive_chunk", "_mark_received"
_SACK_NEEDED, _SACK_MISORDERED = "_sack_needed", "_sack_misordered"
_LOCAL_TSN, _DATA_CHANNELS = "_local_tsn", "_data_channels"
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
    SEND_RTCP = "_send_rtcp"
    SEND_NACK = "_send_rtcp_nack"
    SEND_PLI = "_send_rtcp_pli"
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

    def leave_out_reports_that_cannot_be_written(self) -> None:
        """The jitter of a sender whose timestamps jump to and fro does not fit into its 32 bits (RFC 3550
        section 6.4.1). The error would end aiortc's task that reports, for whose end it waits when it closes.
        """
        send = getattr(self._receiver, self.SEND_RTCP)

        async def send_rtcp(packet: AnyRtcpPacket) -> None:
            with suppress(struct.error):
                await send(packet)

        setattr(self._receiver, self.SEND_RTCP, send_rtcp)

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


def dtls_transports(connection: RTCPeerConnection) -> set[RTCDtlsTransport]:
    """The DTLS transports of ``connection``: one, or one for each media section and data channel without
    BUNDLE (RFC 9143)."""
    found = {transceiver.receiver.transport for transceiver in connection.getTransceivers()}
    return found if connection.sctp is None else found | {connection.sctp.transport}


def ice_transports(connection: RTCPeerConnection) -> set[RTCIceTransport]:
    """The ICE transports of ``connection``, one for each of its `dtls_transports`."""
    return {dtls.transport for dtls in dtls_transports(connection)}


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
    _attribute(connection, _QUERY_CONSENT)
    setattr(connection, _QUERY_CONSENT, _no_checks)


def guard_datagrams(transport: RTCIceTransport, guard: DatagramGuard) -> None:
    """Has ``guard`` look at every datagram and every connectivity check before aioice does. Call before it
    gathers.

    aioice keeps what it receives in a queue without a bound, and checks every address that a check came from.
    Its parser lets errors out to the event loop. Raises `SeamMoved`.
    """
    connection = _aioice_connection(transport)
    gather = _attribute(connection, _GATHER)
    _attribute(connection, _PROTOCOLS)
    take, answer, learn = (
        _attribute(connection, name) for name in (_DATA_RECEIVED, _REQUEST_RECEIVED, _CHECK_INCOMING)
    )
    queue: asyncio.Queue[object] = _attribute(connection, _QUEUE)

    def data_received(data: bytes, component: int) -> None:
        if guard.admits_datagram(data, queue.qsize()):
            take(data, component)

    def request_received(message: Any, address: tuple[str, int], protocol: Any) -> None:
        if guard.admits_request():
            answer(message, address, protocol)

    def check_incoming(message: Any, address: tuple[str, int], protocol: Any) -> None:
        if guard.admits_source(*address):
            learn(message, address, protocol)

    async def gather_guarded(*arguments: Any, **named: Any) -> Any:
        candidates = await gather(*arguments, **named)
        for protocol in getattr(connection, _PROTOCOLS):
            _guard_protocol(protocol, guard)
        return candidates

    setattr(connection, _GATHER, gather_guarded)
    setattr(connection, _DATA_RECEIVED, data_received)
    setattr(connection, _REQUEST_RECEIVED, request_received)
    setattr(connection, _CHECK_INCOMING, check_incoming)


def _guard_protocol(protocol: Any, guard: DatagramGuard) -> None:
    receive = _attribute(protocol, _DATAGRAM_RECEIVED)

    def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
        if guard.admits_size(data):
            with suppress(*_PARSE_ERRORS):  # no STUN, though it looks like it, and nothing else either
                receive(data, address)

    setattr(protocol, _DATAGRAM_RECEIVED, datagram_received)


def guard_sources(transport: RTCDtlsTransport, admits: Callable[[int], bool], refuse: Refuse) -> None:
    """Has ``admits`` look at the SSRC of each RTP and RTCP packet that is authentic, before aiortc parses it.

    aiortc keeps something for each SSRC for ever. What it raises an exception for is refused: by itself it
    would log a traceback and end the transport without a word. Raises `SeamMoved`.
    """
    handle_rtp, clock = _attribute(transport, _HANDLE_RTP), ArrivalClock()

    async def handle_rtp_in_time(data: bytes, arrival_time_ms: int) -> None:
        await handle_rtp(data, clock.without_pauses(arrival_time_ms))

    # RFC 3550 sections 5.1 and 6.4.1
    setattr(transport, _HANDLE_RTP, _by_source(handle_rtp_in_time, 8, admits, refuse))
    setattr(transport, _HANDLE_RTCP, _by_source(_attribute(transport, _HANDLE_RTCP), 4, admits, refuse))


def _by_source(
    handle: Callable[..., Awaitable[None]], offset: int, admits: Callable[[int], bool], refuse: Refuse
) -> Callable[..., Awaitable[None]]:
    async def handle_admitted(data: bytes, *arguments: Any, **named: Any) -> None:
        if len(data) >= offset + 4 and admits(int.from_bytes(data[offset : offset + 4])):
            try:
                await handle(data, *arguments, **named)
            except _PARSE_ERRORS as exc:
                refuse(f"RTP or RTCP that cannot be parsed: {exc}")

    return handle_admitted


def guard_sctp(transport: RTCSctpTransport, policy: SctpPolicy, refuse: Refuse) -> None:
    """Has ``policy`` judge every chunk before aiortc takes it; see `mediaserver.webrtc.sctp_policy`.

    Raises `SeamMoved`.
    """
    handle, receive, mark = (
        _attribute(transport, name) for name in (_HANDLE_DATA, _RECEIVE_CHUNK, _MARK_RECEIVED)
    )
    for name in (_SACK_NEEDED, _SACK_MISORDERED, _LOCAL_TSN, _DATA_CHANNELS):
        _attribute(transport, name)
    refused = False

    async def handle_data(data: bytes) -> None:
        if refused or not is_well_formed(data):
            return
        try:
            await handle(data)
        except _PARSE_ERRORS as exc:
            refuse(f"SCTP that cannot be parsed: {exc}")

    async def receive_chunk(chunk: Chunk) -> None:
        nonlocal refused
        verdict = policy.judge(
            chunk,
            next_tsn=getattr(transport, _LOCAL_TSN),
            misordered=len(getattr(transport, _SACK_MISORDERED)),
            channels=getattr(transport, _DATA_CHANNELS),
        )
        if refused:
            return
        if verdict is Verdict.PASS:
            await receive(chunk)
        elif verdict is Verdict.REFUSE:
            refused = True
            refuse("the data channel takes nothing but its opening and acknowledgements")
        elif isinstance(chunk, DataChunk):
            setattr(transport, _SACK_NEEDED, True)
            mark(chunk.tsn)

    setattr(transport, _HANDLE_DATA, handle_data)
    setattr(transport, _RECEIVE_CHUNK, receive_chunk)


class EncoderSeam:
    """The video encoder of an `RTCRtpSender`. Raises `SeamMoved`."""

    def __init__(self, sender: RTCRtpSender) -> None:
        _attribute(sender, _ENCODER)
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


def _attribute(owner: object, name: str) -> Any:
    """Raises `SeamMoved` where it is gone."""
    try:
        return getattr(owner, name)
    except AttributeError as exc:
        raise SeamMoved(f"{type(owner).__module__}.{type(owner).__name__} no longer has {name}") from exc


async def _no_checks() -> None: ...
