"""One try at WebRTC: a peer connection that sends one track and takes results."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import av
from aiortc import RTCPeerConnection, RTCSessionDescription

from mediaserver.client.bitrate import Bitrate
from mediaserver.client.capture_dates import CaptureDates
from mediaserver.client.frame_source import FrameSource
from mediaserver.client.link import Link
from mediaserver.client.relay import ice_configuration, relay_failure
from mediaserver.client.track import ClipTrack
from mediaserver.webrtc.aiortc_seam.media import ReportSeam
from mediaserver.webrtc.ice_gathering import gathered_addresses, limit_gathering
from mediaserver.webrtc.peer_close import close_peer_connection
from signaling.codec import decode_server
from signaling.messages import ProtocolError, Result, ResultChannel

_LOOK_S = 0.2
_CHECKED_S = 2.0
"""So long after the answer a path is found, if there is one."""
_SILENCE_S = 2.0
"""The server sends an RTCP report to a media sender at least each 1.5 s."""


class Peer:
    """Sends frames of ``source``. `close` releases everything.

    ``on_sent`` gets each frame with its capture time (Unix milliseconds). ``on_result`` gets results of the
    data channel.
    """

    def __init__(
        self,
        source: FrameSource,
        link: Link,
        channel: ResultChannel,
        *,
        relay_only: bool,
        max_bitrate: int | None,
        on_sent: Callable[[av.VideoFrame, float], None],
        on_result: Callable[[Result], None],
    ) -> None:
        self._configuration = ice_configuration(link.ice_servers, relay_only=relay_only)
        self._relay_only = relay_only
        self._connection = RTCPeerConnection(self._configuration)
        self._on_sent = on_sent
        self._on_result = on_result
        self._dates = CaptureDates()
        self._changed = asyncio.Event()
        self._sent = 0
        self._answered_at: float | None = None
        self.found_path = False
        """Whether a connectivity check was ever answered."""
        self._framerate = source.framerate
        self.track = ClipTrack(source, self._frame_taken)
        self._sender = self._connection.addTransceiver(self.track, direction="sendonly").sender
        self.bitrate = Bitrate(self._sender, max_bitrate)
        ReportSeam(self._sender, self._dates.ntp_timestamp)
        if channel is ResultChannel.DATACHANNEL:
            results = self._connection.createDataChannel("results", ordered=False, maxRetransmits=0)
            results.on("message", self._on_data)
        self._connection.on("connectionstatechange", self._changed.set)
        self._connection.on("iceconnectionstatechange", self._follow_ice)

    @property
    def is_alive(self) -> bool:
        """Whether media can flow, as far as is known."""
        return self._connection.connectionState == "connected"

    @property
    def found_no_path(self) -> bool:
        """Whether the server has answered the offer, and none of its addresses the connectivity checks."""
        if self.found_path or self._answered_at is None:
            return False
        return time.monotonic() - self._answered_at > _CHECKED_S

    async def connect(self, link: Link) -> None:
        """Offers over ``link``, and waits until media can flow or never will; see `is_alive`.

        Raises `Refused` for an offer that is not taken, `Unreachable` when the link is lost.
        """
        if not self._relay_only:  # which gathers on no address of this machine
            limit_gathering(self._connection, gathered_addresses(()))
        await self._connection.setLocalDescription(await self._connection.createOffer())
        sdp = self._connection.localDescription.sdp
        if self._relay_only and " typ relay" not in sdp:
            raise await relay_failure(self._configuration)
        answer = await link.offer(sdp, self._framerate)
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        self._answered_at = time.monotonic()
        while self._connection.connectionState in ("new", "connecting"):
            self._changed.clear()
            await self._changed.wait()

    async def silent(self) -> None:
        """Returns when the path seems lost: nothing comes back for what is sent. ICE alone would take 30
        s."""
        received, sent, heard_at = -1, self._sent, time.monotonic()
        while self.is_alive:
            before, received = received, await self._received()
            now = time.monotonic()
            if received != before:
                sent, heard_at = self._sent, now
            elif self._sent == sent:
                heard_at = now  # nothing to be answered
            elif now - heard_at > _SILENCE_S:
                return
            await asyncio.sleep(_LOOK_S)

    async def heard(self) -> None:
        """Returns when something comes, or never will."""
        before = await self._received()
        while self.is_alive and await self._received() == before:  # noqa: ASYNC110 - aiortc only counts
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Ends media and gives its sockets back. Idempotent."""
        self.track.stop()
        await close_peer_connection(self._connection)

    async def _received(self) -> int:
        """Packets that came so far."""
        statistics = (await self._sender.getStats()).values()
        [transport] = [each for each in statistics if each.type == "transport"]
        self.bitrate.sent(transport.bytesSent, time.monotonic())
        received: int = transport.packetsReceived
        return received

    def _follow_ice(self) -> None:
        self.found_path |= self._connection.iceConnectionState in ("connected", "completed")

    def _frame_taken(self, frame: av.VideoFrame) -> None:
        captured_ms = time.time() * 1000.0
        self._sent += 1
        self._dates.captured(frame, captured_ms)
        self.bitrate.hold()
        self._on_sent(frame, captured_ms)

    def _on_data(self, data: str | bytes) -> None:
        with contextlib.suppress(ProtocolError):
            message = decode_server(data)
            if isinstance(message, Result):
                self._on_result(message)
