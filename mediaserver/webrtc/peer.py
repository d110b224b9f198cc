"""One WebRTC peer: the adapter around aiortc. Receives one video track and one data channel.

aiortc's errors end here: what the other side caused comes out as `signaling.messages.ProtocolError`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import SessionDescription, candidate_from_sdp

from inference.fair_threads import Lane
from mediaserver.settings.types import IpAddress, NetworkInterface
from mediaserver.webrtc.aiortc_seam import (
    dtls_transports,
    guard_datagrams,
    guard_sctp,
    guard_sources,
    ice_transports,
)
from mediaserver.webrtc.datagram_guard import DatagramGuard, SourceLimit
from mediaserver.webrtc.ice_addresses import announced
from mediaserver.webrtc.ice_gathering import gathered_addresses, limit_gathering
from mediaserver.webrtc.peer_close import close_peer_connection
from mediaserver.webrtc.receiver import ReceivedFrame, ReceiveObserver, VideoReceiver
from mediaserver.webrtc.remote_candidates import RemoteCandidates
from mediaserver.webrtc.sctp_policy import SctpPolicy
from mediaserver.webrtc.sdp_limits import check_sections, check_text
from signaling.messages import ErrorCode, IceCandidate, ProtocolError
from signaling.rate_limit import RateLimit

RESULTS_LABEL = "results"
_CANDIDATE = "a=candidate:"
_SENDING = ("sendrecv", "sendonly", None)


class Peer:
    """Answers one offer. ``on_frame`` and ``on_results_channel`` are called on the event loop.

    ``on_failed`` is called once, when a path that was tried or in use is given up by ICE or DTLS;
    ``on_refused`` with words, when the client sends what no well-meaning one does. ``interfaces`` and
    ``public_ip`` are as in `mediaserver.settings.model.Settings`. Every address that is checked takes
    one from ``candidate_budget``.
    """

    def __init__(
        self,
        *,
        lane: Lane,
        on_frame: Callable[[ReceivedFrame], None],
        on_results_channel: Callable[[RTCDataChannel], None],
        on_failed: Callable[[], None],
        on_refused: Callable[[str], None],
        candidate_budget: RateLimit,
        observer: ReceiveObserver,
        interfaces: Sequence[NetworkInterface] = (),
        public_ip: IpAddress | None = None,
    ) -> None:
        # An empty list: without it aiortc asks a public STUN server.
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
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self.receiver: VideoReceiver | None = None
        self._connection.on("datachannel", self._data_channel_opened)
        self._connection.on("connectionstatechange", self._state_changed)

    async def answer(self, offer: str) -> str:
        """Takes an SDP offer and returns the SDP answer with all of our candidates in it.

        Raises `ProtocolError` (bad_sdp, no_video, unsupported_codec).
        """
        sending = _sending_video(offer)
        description = RTCSessionDescription(sdp=self._without_idle_candidates(offer), type="offer")
        try:
            await self._connection.setRemoteDescription(description)
        except OperationError as exc:
            raise ProtocolError(
                ErrorCode.UNSUPPORTED_CODEC, "no video codec in common; VP8 and H.264 are taken"
            ) from exc
        except _SDP_ERRORS as exc:
            raise _bad_sdp(exc) from exc
        self._receive_video(sending)
        self._guard_transports()
        try:
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except _SDP_ERRORS as exc:
            raise _bad_sdp(exc) from exc
        sdp = self._connection.localDescription.sdp
        return sdp if self._public_ip is None else announced(sdp, self._public_ip)

    async def add_candidate(self, candidate: IceCandidate | None) -> None:
        """Adds a trickled candidate; ``None`` ends them. Raises `ProtocolError` (bad_candidate)."""
        parsed = None
        if candidate is not None and candidate.candidate:
            try:
                parsed = candidate_from_sdp(candidate.candidate.removeprefix("candidate:"))
                parsed.sdpMid = candidate.sdp_mid
                parsed.sdpMLineIndex = candidate.sdp_m_line_index
            except (ValueError, AssertionError, IndexError) as exc:
                raise ProtocolError(ErrorCode.BAD_CANDIDATE, "not an ICE candidate (RFC 8839, 5.1)") from exc
            if not self._candidates.admits_named(parsed.ip, parsed.port, time.monotonic()):
                return
        try:
            await self._connection.addIceCandidate(parsed)
        except (ValueError, AttributeError, InvalidStateError) as exc:
            raise ProtocolError(ErrorCode.BAD_CANDIDATE, f"the candidate cannot be used: {exc}") from exc

    async def close(self) -> None:
        """Ends media, the data channel and ICE; idempotent. It is done to the end also if the caller is
        cancelled meanwhile: half closed, sockets would stay."""
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.create_task(self._close(), name="close-peer")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self.receiver is not None:
            await self.receiver.close()
        await close_peer_connection(self._connection)

    def _receive_video(self, number: int) -> None:
        """Attaches to this media section; everything else is declined. A fresh connection has a transceiver
        for each section of audio or video, in their order (RFC 8829, 5.10)."""
        for place, transceiver in enumerate(self._connection.getTransceivers()):
            if place == number:
                transceiver.direction = "recvonly"
                self.receiver = VideoReceiver.attach(
                    transceiver.receiver, self._on_frame, self._lane, self._observer
                )
            else:
                transceiver.direction = "inactive"

    def _without_idle_candidates(self, offer: str) -> str:
        """The offer without the candidates that are not checked; aiortc would wait for names among them."""
        return "\r\n".join(line for line in offer.splitlines() if self._is_kept(line)) + "\r\n"

    def _is_kept(self, line: str) -> bool:
        parts = line.split()
        if not line.startswith(_CANDIDATE) or len(parts) < 6 or not parts[5].isdecimal():
            return True  # what is no candidate, though it is called one, aiortc refuses
        return self._candidates.admits_named(parts[4], int(parts[5]), time.monotonic())

    def _guard_transports(self) -> None:
        sources = SourceLimit()
        limit_gathering(self._connection, self._addresses)
        for ice in ice_transports(self._connection):
            guard_datagrams(ice, DatagramGuard(self._candidates))
        for dtls in dtls_transports(self._connection):
            guard_sources(dtls, sources.admits, self._refuse)
        if self._connection.sctp is not None:
            guard_sctp(self._connection.sctp, SctpPolicy(), self._refuse)

    def _refuse(self, words: str) -> None:
        if not self._closed:
            self._on_refused(words)

    def _data_channel_opened(self, channel: RTCDataChannel) -> None:
        if channel.label == RESULTS_LABEL:
            self._on_results_channel(channel)

    def _state_changed(self) -> None:
        if self._connection.connectionState == "failed" and not self._closed:
            self._on_failed()


# What aiortc lets out of SDP that parses but makes no sense, found by fuzzing it.
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


def _sending_video(sdp: str) -> int:
    """Checks an offer; the number of the first section that sends video, among those of audio and video.

    Raises `ProtocolError`.
    """
    check_text(sdp)
    try:
        description = SessionDescription.parse(sdp)
    except _SDP_ERRORS as exc:
        raise _bad_sdp(exc) from exc
    check_sections(description)
    sections = [media for media in description.media if media.kind in ("audio", "video")]
    for number, media in enumerate(sections):
        if media.kind == "video" and media.direction in _SENDING:
            return number
    raise ProtocolError(ErrorCode.NO_VIDEO, "the offer sends no video")


def _bad_sdp(exc: Exception) -> ProtocolError:
    return ProtocolError(ErrorCode.BAD_SDP, f"the SDP offer cannot be used: {exc}"[:200])
