"""One WebRTC peer: the adapter around aiortc. Receives one video track and one data channel.

aiortc's errors end here: what the other side caused comes out as `signaling.messages.ProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import ifaddr
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import SessionDescription, candidate_from_sdp

from mediaserver.ice import announced, listed_addresses
from mediaserver.ice_gathering import gather_only
from mediaserver.peer_close import close_peer_connection
from mediaserver.receiver import ReceivedFrame, VideoReceiver
from mediaserver.setting_types import IpAddress, NetworkInterface
from signaling.messages import ErrorCode, IceCandidate, ProtocolError

RESULTS_LABEL = "results"
_MAX_MEDIA_SECTIONS = 8
_MAX_CANDIDATES = 64
"""aiortc parses each on the event loop; a browser sends a handful, the rest by trickle."""
_SENDING = ("sendrecv", "sendonly", None)


class Peer:
    """Answers one offer. ``on_frame`` and ``on_results_channel`` are called on the event loop.

    ``on_failed`` is called once, when a path that was tried or in use is given up by ICE or DTLS.
    ``interfaces`` and ``public_ip`` are as in `mediaserver.settings.Settings`.
    """

    def __init__(
        self,
        *,
        executor: Executor,
        on_frame: Callable[[ReceivedFrame], None],
        on_results_channel: Callable[[RTCDataChannel], None],
        on_failed: Callable[[], None],
        interfaces: Sequence[NetworkInterface] = (),
        public_ip: IpAddress | None = None,
    ) -> None:
        # An empty list: without it aiortc asks a public STUN server.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._executor = executor
        self._on_frame = on_frame
        self._on_results_channel = on_results_channel
        self._on_failed = on_failed
        self._interfaces = interfaces
        self._public_ip = public_ip
        self._closed = False
        self.receiver: VideoReceiver | None = None
        self._connection.on("datachannel", self._data_channel_opened)
        self._connection.on("connectionstatechange", self._state_changed)

    async def answer(self, offer: str) -> str:
        """Takes an SDP offer and returns the SDP answer with all of our candidates in it.

        Raises `ProtocolError` (bad_sdp, no_video, unsupported_codec).
        """
        _check_offer(offer)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
        except OperationError as exc:
            raise ProtocolError(
                ErrorCode.UNSUPPORTED_CODEC, "no video codec in common; VP8 and H.264 are taken"
            ) from exc
        except _SDP_ERRORS as exc:
            raise _bad_sdp(exc) from exc
        self._receive_one_video()
        self._limit_gathering()
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
        try:
            await self._connection.addIceCandidate(parsed)
        except (ValueError, AttributeError, InvalidStateError) as exc:
            raise ProtocolError(ErrorCode.BAD_CANDIDATE, f"the candidate cannot be used: {exc}") from exc

    async def close(self) -> None:
        """Ends media, the data channel and ICE; idempotent."""
        if self._closed:
            return
        self._closed = True
        if self.receiver is not None:
            await self.receiver.close()
        await close_peer_connection(self._connection)

    def _receive_one_video(self) -> None:
        """Attaches to the first video section; everything else is declined."""
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind == "video" and self.receiver is None:
                transceiver.direction = "recvonly"
                self.receiver = VideoReceiver.attach(
                    transceiver.receiver, on_frame=self._on_frame, executor=self._executor
                )
            else:
                transceiver.direction = "inactive"

    def _limit_gathering(self) -> None:
        if not self._interfaces:
            return
        addresses = listed_addresses(self._interfaces, ifaddr.get_adapters())
        secured = [transceiver.receiver.transport for transceiver in self._connection.getTransceivers()]
        if self._connection.sctp is not None:
            secured.append(self._connection.sctp.transport)
        for transport in {dtls.transport for dtls in secured}:
            gather_only(transport, addresses)

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


def _check_offer(sdp: str) -> None:
    if sdp.count("a=candidate:") > _MAX_CANDIDATES:
        raise ProtocolError(ErrorCode.BAD_SDP, f"an offer may have {_MAX_CANDIDATES} candidates")
    try:
        description = SessionDescription.parse(sdp)
    except _SDP_ERRORS as exc:
        raise _bad_sdp(exc) from exc
    if len(description.media) > _MAX_MEDIA_SECTIONS:
        raise ProtocolError(ErrorCode.BAD_SDP, f"an offer may have {_MAX_MEDIA_SECTIONS} media sections")
    video = [media for media in description.media if media.kind == "video"]
    if not any(media.direction in _SENDING for media in video):
        raise ProtocolError(ErrorCode.NO_VIDEO, "the offer sends no video")


def _bad_sdp(exc: Exception) -> ProtocolError:
    return ProtocolError(ErrorCode.BAD_SDP, f"the SDP offer cannot be used: {exc}"[:200])
