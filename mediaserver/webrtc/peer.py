"""One WebRTC peer: the adapter around aiortc. Receives one video track and one data channel.

Errors of aiortc that the other side causes are converted to `signaling.messages.ProtocolError`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError
from aiortc.sdp import candidate_from_sdp

from inference.fair_threads import Lane
from mediaserver.settings.types import IpAddress, NetworkInterface
from mediaserver.webrtc.aiortc_seam.arrival import KernelArrivals
from mediaserver.webrtc.aiortc_seam.dtls import guard_sources, use_cipher_suites, watch_handshake
from mediaserver.webrtc.aiortc_seam.ice import answers_check, guard_datagrams, take_turns
from mediaserver.webrtc.aiortc_seam.media import use_codecs
from mediaserver.webrtc.aiortc_seam.path import follow_sender
from mediaserver.webrtc.aiortc_seam.sctp import ask_again, guard_sctp, watch_flow
from mediaserver.webrtc.aiortc_seam.transports import dtls_transports, ice_transports
from mediaserver.webrtc.datagram_guard import DatagramGuard, SourceLimit
from mediaserver.webrtc.ice_addresses import announced
from mediaserver.webrtc.ice_gathering import gathered_addresses, limit_gathering
from mediaserver.webrtc.offer_answer import OfferAnswer
from mediaserver.webrtc.peer_close import close_peer_connection
from mediaserver.webrtc.receiver import ReceivedFrame, ReceiveObserver, VideoReceiver
from mediaserver.webrtc.remote_candidates import RemoteCandidates
from mediaserver.webrtc.result_flow import ResultFlow
from mediaserver.webrtc.results_channel import ResultsChannel
from mediaserver.webrtc.sctp_policy import SctpPolicy
from mediaserver.webrtc.sdp_limits import check_text
from mediaserver.webrtc.sdp_offer import bad_sdp
from signaling.messages import ErrorCode, IceCandidate, MediaFailureCause, ProtocolError
from signaling.rate_limit import RateLimit

RESULTS_LABEL = "results"
CIPHER_SUITES = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for signature in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
)
"""Cipher suites of DTLS. aiortc by itself offers those for ECDSA only.

If aiortc begins the handshake, a client with an RSA certificate then has no common suite. GStreamer is such a
client (aiortc/aiortc#1434).
"""


class MediaFailure(NamedTuple):
    """The reason why a peer connection has failed. ``words`` is a message for the client."""

    cause: MediaFailureCause
    words: str


NO_PATH = MediaFailure(MediaFailureCause.ICE, "no network path between client and server, or it was lost")
_UNFINISHED = MediaFailure(MediaFailureCause.DTLS, "the DTLS handshake was not finished")


def check_offer(offer: str) -> None:
    """Checks an SDP offer. Raises `ProtocolError` if a `Peer` would not answer it."""
    check_text(offer)
    OfferAnswer(offer)


class Peer:
    """Answers one offer. ``on_frame`` and ``on_results_channel`` are called on the event loop.

    ``on_failed`` is called once, with the reason, when ICE or DTLS fails. ``on_refused`` is called with a
    message if the client sends data that is not allowed. ``interfaces`` and ``public_ip`` are as in
    `mediaserver.settings.model.Settings`. Each checked address is charged to ``candidate_budget``, and each
    datagram above the peer's own limit to ``datagram_surplus``.
    """

    def __init__(
        self,
        *,
        lane: Lane,
        on_frame: Callable[[ReceivedFrame], None],
        on_results_channel: Callable[[ResultsChannel], None],
        on_failed: Callable[[MediaFailure], None],
        on_refused: Callable[[str], None],
        candidate_budget: RateLimit,
        datagram_surplus: RateLimit,
        observer: ReceiveObserver,
        interfaces: Sequence[NetworkInterface] = (),
        public_ip: IpAddress | None = None,
    ) -> None:
        # Without an empty list aiortc would ask a public STUN server.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._lane = lane
        self._on_frame = on_frame
        self._on_results_channel = on_results_channel
        self._on_failed = on_failed
        self._observer = observer
        self._on_refused = on_refused
        self._public_ip = public_ip
        self._addresses = gathered_addresses(interfaces)
        self._candidates = RemoteCandidates(
            self._addresses, behind_nat=public_ip is not None, budget=candidate_budget
        )
        self._flow = ResultFlow()
        self._datagram_surplus = datagram_surplus
        self._negotiated: OfferAnswer | None = None
        self._failure = NO_PATH
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._answering: asyncio.Task[str] | None = None
        self.receiver: VideoReceiver | None = None
        self._connection.on("datachannel", self._data_channel_opened)
        self._connection.on("connectionstatechange", self._state_changed)

    async def answer(self, offer: str) -> str:
        """Takes an SDP offer, and returns the SDP answer with all candidates of the server.

        Raises `ProtocolError` (bad_sdp, no_video, unsupported_codec, out_of_sockets).
        """
        self._answering = asyncio.create_task(self._answer(offer), name="answer")
        return await asyncio.shield(self._answering)

    async def _answer(self, offer: str) -> str:
        check_text(offer)
        negotiated = self._negotiated = OfferAnswer(offer)
        try:
            description = RTCSessionDescription(negotiated.offer_of_taken(self._admits), "offer")
            await self._connection.setRemoteDescription(description)
            self._receive_video(negotiated)
            self._guard_transports()
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except _SDP_ERRORS as exc:
            raise bad_sdp(str(exc) or f"it makes no sense to aiortc ({type(exc).__name__})") from exc
        gathered = self._connection.localDescription.sdp
        if "a=candidate:" not in gathered:  # aioice does not report that it could bind no socket
            raise ProtocolError(ErrorCode.OUT_OF_SOCKETS, "the server has no UDP port left for media")
        sdp = negotiated.answer(gathered)
        return sdp if self._public_ip is None else announced(sdp, self._public_ip)

    async def add_candidate(self, candidate: IceCandidate | None) -> None:
        """Adds a trickled candidate; ``None`` ends them. Raises `ProtocolError` (bad_candidate)."""
        parsed = None
        if candidate is not None and candidate.candidate:
            try:
                parsed = candidate_from_sdp(candidate.candidate.removeprefix("candidate:"))
            except (ValueError, AssertionError, IndexError) as exc:
                raise ProtocolError(ErrorCode.BAD_CANDIDATE, "not an ICE candidate (RFC 8839, 5.1)") from exc
            if candidate.sdp_mid is None and candidate.sdp_m_line_index is None:
                raise ProtocolError(ErrorCode.BAD_CANDIDATE, "a candidate has sdpMid or sdpMLineIndex")
            parsed.sdpMid = None if self._negotiated is None else self._negotiated.name_for(candidate)
            if parsed.sdpMid is None or not self._admits(parsed.ip, parsed.port):
                return
        elif not self._candidates.are_all_checked:
            return  # after the end aioice would not wait for the client's checks
        try:
            await self._connection.addIceCandidate(parsed)
        except (ValueError, AttributeError, InvalidStateError) as exc:
            raise ProtocolError(ErrorCode.BAD_CANDIDATE, f"the candidate cannot be used: {exc}") from exc

    def ask_again(self) -> None:
        """Retransmits on the data channel at once, as the other side is heard again."""
        if self._connection.sctp is not None:
            ask_again(self._connection.sctp)

    async def answers(self) -> bool:
        """Whether the other side answers a connectivity check; waits for some seconds at most."""
        for ice in ice_transports(self._connection):
            if await answers_check(ice):
                return True
        return False

    @property
    def unfinished(self) -> MediaFailure | None:
        """The unfinished DTLS handshake on a path that works, if that is why no media comes."""
        waits = any(
            dtls.state == "connecting" and dtls.transport.state == "completed"
            for dtls in dtls_transports(self._connection)
        )
        return _UNFINISHED if waits else None

    async def close(self) -> None:
        """Closes media, the data channel and ICE. Idempotent.

        Closing completes even if the caller is cancelled, as sockets would otherwise stay open.
        """
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.create_task(self._close(), name="close-peer")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._answering is not None:
            # aioice records its sockets when all are open. If closed while gathering, it would leave some
            # open.
            await asyncio.wait([self._answering])
        if self.receiver is not None:
            await self.receiver.close()
        await close_peer_connection(self._connection)

    def _receive_video(self, negotiated: OfferAnswer) -> None:
        [transceiver] = self._connection.getTransceivers()
        transceiver.direction = "recvonly"
        use_codecs(transceiver, negotiated.codecs)
        self.receiver = VideoReceiver.attach(transceiver.receiver, self._on_frame, self._lane, self._observer)

    def _admits(self, host: str, port: int) -> bool:
        """Whether a candidate is used. A host name is not, as aiortc would wait for its resolution."""
        return self._candidates.admits_named(host, port, time.monotonic())

    def _guard_transports(self) -> None:
        sources = SourceLimit()
        limit_gathering(self._connection, self._addresses)
        for dtls in dtls_transports(self._connection):
            ice, guard = dtls.transport, DatagramGuard(self._candidates, self._datagram_surplus)
            arrivals = KernelArrivals(ice)
            follow_sender(ice, guard.admits_source)
            guard_datagrams(ice, guard)
            take_turns(ice)
            guard_sources(dtls, arrivals.of_handled, sources.admits, self._refuse)
            use_cipher_suites(dtls, CIPHER_SUITES)
            watch_handshake(dtls, self._handshake_failed)
        if self._connection.sctp is not None:
            guard_sctp(self._connection.sctp, SctpPolicy(), self._refuse)
            watch_flow(self._connection.sctp, self._flow)

    def _refuse(self, words: str) -> None:
        if not self._closed:
            self._on_refused(words)

    def _data_channel_opened(self, channel: RTCDataChannel) -> None:
        if channel.label == RESULTS_LABEL:
            self._on_results_channel(ResultsChannel(channel, self._flow))

    def _handshake_failed(self, words: str) -> None:
        self._failure = MediaFailure(MediaFailureCause.DTLS, f"the DTLS handshake failed: {words}")

    def _state_changed(self) -> None:
        if self._connection.connectionState == "failed" and not self._closed:
            self._on_failed(self._failure)


# Exceptions of aiortc for SDP that is well-formed but inconsistent, found by fuzzing.
_SDP_ERRORS: tuple[type[Exception], ...] = (
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    AssertionError,
    InvalidStateError,
    InvalidAccessError,
    StopIteration,
)
