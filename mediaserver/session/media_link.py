"""The media of one client: its peer connection, replaced by each new offer, and counts of losses."""

from __future__ import annotations

import asyncio
import logging

from mediaserver.session.ending import Ending
from mediaserver.session.outlet import Outlet
from mediaserver.session.session import Inference, Session
from mediaserver.telemetry.logs import fields
from mediaserver.webrtc.frame_drops import DropReason
from mediaserver.webrtc.peer import MediaFailure, Peer
from mediaserver.webrtc.receiver import ReceivedFrame
from mediaserver.webrtc.remote_candidates import candidate_budget
from mediaserver.webrtc.results_channel import ResultsChannel
from signaling.messages import (
    Drop,
    EndReason,
    ErrorCode,
    IceCandidate,
    MediaFailureCause,
    Offer,
    ProtocolError,
)

_HEARD_S = 0.5

logger = logging.getLogger(__name__)


class MediaLink:
    """Passes the frames of a peer connection to ``session``, and its data channel to an outlet.

    The outlet is that of the connection to which the link is attached. The link outlives that connection, as
    the client may return. It is also the `mediaserver.webrtc.receiver.ReceiveObserver` of its receivers.
    ``failed`` is set when ICE or DTLS gives up the path; the waiting task clears it.
    """

    def __init__(self, inference: Inference, session: Session) -> None:
        self.failed = asyncio.Event()
        self.failure: MediaFailure | None = None
        """The reason if this peer connection has failed."""
        self.refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Resolves to a message if the client sent data over WebRTC that is not allowed.

        It belongs to the connection to which the link is attached.
        """
        self.camera_framerate: float | None = None
        """Frames a second of the camera, if the client has sent it."""
        self._inference = inference
        self._session = session
        self._outlet: Outlet | None = None
        self._ending: Ending | None = None
        self._data_channel: ResultsChannel | None = None
        self._peer: Peer | None = None
        self._candidate_budget = candidate_budget()
        self._decode_lane = inference.decode_threads.lane(session.account)

    def attach(self, outlet: Outlet, ending: Ending) -> None:
        """Attaches the link to the connection with this outlet and this ending, and to no other."""
        self._leave_outlet()
        self._outlet, self._ending = outlet, ending
        self.refused = asyncio.get_running_loop().create_future()
        outlet.use(self._data_channel)
        if self._peer is not None:
            self._peer.ask_again()

    def detach(self, ending: Ending) -> None:
        """Detaches the link if it is attached to the connection of ``ending``."""
        if ending is self._ending:
            self._leave_outlet()
            self._ending = None

    def _leave_outlet(self) -> None:
        """Drops references between the outlet and the peer connection.

        Objects of an ended connection may wait for Python's garbage collector, and must not hold it.
        """
        if self._outlet is not None:
            self._outlet.use(None)
        self._outlet = None

    def is_attached_to(self, ending: Ending) -> bool:
        """Whether the link is attached to the connection of ``ending``."""
        return ending is self._ending

    @property
    def has_data_channel(self) -> bool:
        """Whether results can reach the client without its socket."""
        return self._data_channel is not None

    @property
    def is_open(self) -> bool:
        """Whether there is a peer connection."""
        return self._peer is not None

    @property
    def last_packet(self) -> float | None:
        """Arrival of the newest media packet of this peer connection, in `time.monotonic` seconds."""
        receiver = None if self._peer is None else self._peer.receiver
        return None if receiver is None else receiver.last_packet

    def is_heard(self, now: float) -> bool:
        """Whether media came within the last 0.5 s. ``now`` is in `time.monotonic` seconds."""
        return self.last_packet is not None and now - self.last_packet < _HEARD_S

    async def answers(self) -> bool:
        """Whether the other side answers connectivity checks; waits for some seconds at most."""
        return self._peer is not None and await self._peer.answers()

    async def answer(self, offer: Offer) -> str:
        """Closes an earlier peer connection, makes a new one, and returns its SDP answer.

        Raises `signaling.messages.ProtocolError`; the link then has no peer connection.
        """
        await self.close()
        try:
            answer = await self._answer(offer.sdp)
        except BaseException as exc:
            await self.close()
            is_short = isinstance(exc, ProtocolError) and exc.code is ErrorCode.OUT_OF_SOCKETS
            if not is_short and not isinstance(exc, OSError):
                raise
            self._inference.shortage.note("UDP ports, or file descriptors: a peer connection got none")
            raise ProtocolError(ErrorCode.OUT_OF_SOCKETS, "the server has no socket left for media") from exc
        self.camera_framerate = offer.camera_framerate
        self._session.sink.start_track()
        return answer

    async def _answer(self, sdp: str) -> str:
        """Also raises ``OSError`` if file descriptors are exhausted."""
        settings = self._inference.settings
        peer = self._peer = Peer(
            lane=self._decode_lane,
            on_frame=self._take_frame,
            on_results_channel=self._use_data_channel,
            on_failed=self._fail,
            on_refused=self._refuse,
            candidate_budget=self._candidate_budget,
            datagram_surplus=self._inference.datagram_surplus,
            observer=self,
            interfaces=settings.ice_interfaces,
            public_ip=settings.public_ip,
        )
        return await peer.answer(sdp)

    def give_up(self) -> None:
        """Reports an unfinished handshake as the reason why no media came in time."""
        unfinished = None if self._peer is None else self._peer.unfinished
        if unfinished is not None:
            self._fail(unfinished)

    async def add_candidate(self, candidate: IceCandidate | None) -> None:
        """As `Peer.add_candidate`. Call it after an answer only, which `signaling.negotiation` ensures."""
        assert self._peer is not None
        await self._peer.add_candidate(candidate)

    async def close(self) -> None:
        """Ends the peer connection, if there is one."""
        if self._peer is not None:
            if self._outlet is not None:
                self._outlet.use(None)
            if self._ending is not None:
                self._ending.suspect(None)
            peer, self._peer = self._peer, None
            self.failure = self._data_channel = None
            await peer.close()

    def _take_frame(self, frame: ReceivedFrame) -> None:
        """Takes a frame, unless the connection is ending, which then no longer owns the session."""
        if self._is_wanted:
            self._session.sink.put_track_frame(frame)

    @property
    def _is_wanted(self) -> bool:
        return self._ending is not None and self._ending.reason is None

    def _fail(self, failure: MediaFailure) -> None:
        self.failure = failure
        self.failed.set()
        if failure.cause is MediaFailureCause.DTLS and self._ending is not None:
            self._ending.suspect(EndReason.DTLS_FAILED)
        self._inference.metrics.media_failures.labels(failure.cause).inc()
        logger.warning(
            "media failed: %s",
            failure.words,
            extra=fields(session=self._session.id, cause=failure.cause),
        )

    def _refuse(self, words: str) -> None:
        if not self.refused.done():
            self.refused.set_result(words)

    def _use_data_channel(self, channel: ResultsChannel) -> None:
        self._data_channel = channel
        if self._outlet is not None:
            self._outlet.use(channel)

    # --- `mediaserver.webrtc.receiver.ReceiveObserver` ---

    def frames_dropped(self, reason: DropReason, count: int) -> None:
        """Counts frames lost before or in the decoder."""
        if self._is_wanted:
            self._session.count_drop(Drop.RECEIVE, reason, count)

    def packets_requested(self, count: int) -> None:
        """Counts packets requested again."""
        self._inference.metrics.packets_requested.inc(count)

    def keyframe_requested(self) -> None:
        """Counts requested keyframes."""
        self._inference.metrics.keyframes_requested.inc()

    def memory_ran_out(self) -> None:
        """Ends the connection, as frames can no longer be decoded."""
        if self._ending is not None:
            self._ending.memory_ran_out()

    def fault_contained(self) -> None:
        """Counts exceptions of the receive path."""
        self._inference.metrics.receive_faults.inc()
