"""The media of one client: its peer connection, or one after another, and what gets lost on the way here."""

from __future__ import annotations

import asyncio

from aiortc import RTCDataChannel

from mediaserver.session.ending import Ending
from mediaserver.session.outlet import Outlet
from mediaserver.session.session import Inference, Session
from mediaserver.webrtc.frame_drops import DropReason
from mediaserver.webrtc.peer import Peer
from mediaserver.webrtc.receiver import ReceivedFrame
from mediaserver.webrtc.remote_candidates import candidate_budget
from signaling.messages import Drop, IceCandidate, Offer


class MediaLink:
    """Feeds the frames of a peer connection to ``session``, and gives its data channel to ``outlet``.

    Also the `mediaserver.webrtc.receiver.ReceiveObserver` of its receivers. ``failed`` is set when a path
    that was tried or in use is given up by ICE or DTLS; who waits for it clears it.
    """

    def __init__(self, inference: Inference, session: Session, outlet: Outlet, ending: Ending) -> None:
        self.failed = asyncio.Event()
        self.refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Has words when the client sent over WebRTC what no well-meaning one does."""
        self.camera_framerate: float | None = None
        """Frames a second that the camera gives, where the client has told."""
        self._inference = inference
        self._session = session
        self._outlet = outlet
        self._peer: Peer | None = None
        self._candidate_budget = candidate_budget()
        self._decode_lane = inference.decode_threads.lane(session.account)
        self._ending = ending

    @property
    def is_open(self) -> bool:
        """Whether there is a peer connection."""
        return self._peer is not None

    @property
    def last_packet(self) -> float | None:
        """When the newest media packet of this peer connection came, in seconds of ``time.monotonic``."""
        receiver = None if self._peer is None else self._peer.receiver
        return None if receiver is None else receiver.last_packet

    async def answer(self, offer: Offer) -> str:
        """Answers with a new peer connection; one of an earlier offer is closed first.

        Raises `signaling.messages.ProtocolError`, and then has none.
        """
        await self.close()
        settings = self._inference.settings
        peer = self._peer = Peer(
            lane=self._decode_lane,
            on_frame=self._take_frame,
            on_results_channel=self._use_data_channel,
            on_failed=self.failed.set,
            on_refused=self._refuse,
            candidate_budget=self._candidate_budget,
            observer=self,
            interfaces=settings.ice_interfaces,
            public_ip=settings.public_ip,
        )
        try:
            answer = await peer.answer(offer.sdp)
        except BaseException:
            await self.close()
            raise
        self.camera_framerate = offer.camera_framerate
        self._session.sink.start_track()
        return answer

    async def add_candidate(self, candidate: IceCandidate | None) -> None:
        """As `Peer.add_candidate`. Only after an answer, as `signaling.negotiation` holds."""
        assert self._peer is not None
        await self._peer.add_candidate(candidate)

    async def close(self) -> None:
        """Ends the peer connection, if there is one."""
        if self._peer is not None:
            self._outlet.use(None)
            peer, self._peer = self._peer, None
            await peer.close()

    def _take_frame(self, frame: ReceivedFrame) -> None:
        """A connection that ends no longer owns the session, though its peer may send for a moment."""
        if self._ending.reason is None:
            self._session.sink.put_track_frame(frame)

    def _refuse(self, words: str) -> None:
        if not self.refused.done():
            self.refused.set_result(words)

    def _use_data_channel(self, channel: RTCDataChannel) -> None:
        self._outlet.use(channel)

    # --- `mediaserver.webrtc.receiver.ReceiveObserver` ---

    def frames_dropped(self, reason: DropReason, count: int) -> None:
        """Counts frames that were lost before they were decoded, or in it."""
        if self._ending.reason is None:
            self._session.count_drop(Drop.RECEIVE, reason, count)

    def packets_requested(self, count: int) -> None:
        """Counts packets that were asked for again."""
        self._inference.metrics.packets_requested.inc(count)

    def keyframe_requested(self) -> None:
        """Counts keyframes that were asked for."""
        self._inference.metrics.keyframes_requested.inc()

    def fault_contained(self) -> None:
        """Counts exceptions of the receive path."""
        self._inference.metrics.receive_faults.inc()
