"""Brings the frames of one clip to the server: by WebRTC, or as JPEG over the WebSocket while WebRTC fails.

The path lasts over any number of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import av

from mediaserver.client.channel import Channel
from mediaserver.client.errors import Unreachable
from mediaserver.client.frame_source import FrameSource
from mediaserver.client.jpeg_sender import MAX_FRAMERATE, JpegSender
from mediaserver.client.link import Link
from mediaserver.client.network_words import NetworkWords, NoMediaPath
from mediaserver.client.overlap import Overlap
from mediaserver.client.peer import Peer
from mediaserver.client.player import Player
from signaling.messages import Pong, Rate, Result, ResultChannel, ServerState, StateEvent

_PATIENCE_S = 3.5
"""Without a connection after this long, JPEG frames bridge the time."""
_ATTEMPT_S = 4.0
_RELAYED_ATTEMPT_S = 10.0
_RETRY_S = (0.0, 1.0, 2.0, 4.0)
"""Pause before the next try, by the number of tries that failed since WebRTC last worked."""
_HOPE_S, _HOPE_AFTER_RETURN_S = 5.0, 0.7
_SCALE_STEP = 1.1
"""Smaller changes of the size are not worth a keyframe."""


class MediaPath:
    """Sends what ``player`` plays. Use ``async with``, then `use` for each connection and `leave` when it is
    lost; `played` waits for the end. A peer connection outlives the connection that it was negotiated over.

    ``on_sent`` gets each frame with its capture time (Unix milliseconds). ``on_result`` gets the results of
    the data channel, ``on_notice`` messages about the network.
    """

    def __init__(
        self,
        player: Player,
        channel: Channel,
        *,
        relay_only: bool,
        on_sent: Callable[[av.VideoFrame, float], None],
        on_result: Callable[[Result], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self._player = player
        self._channel = channel
        self._relay_only = relay_only
        self._on_sent = on_sent
        self._on_result = on_result
        self._source = FrameSource(player)
        self._jpeg = JpegSender(self._source, self._count)
        self._words = NetworkWords(on_notice)
        self._peer: Peer | None = None
        self._link: Link | None = None
        self._linked, self._left = asyncio.Event(), asyncio.Event()
        self._bridging = asyncio.Event()
        self._turned = asyncio.Event()
        """There may be another link for JPEG frames, or a better way than they are."""
        self._failed = asyncio.Event()
        self._hopeless = self._was_away = False
        self._rate: Rate | None = None
        self._size = (0.0, 0.0)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_alive(self) -> bool:
        """Whether there is a peer connection that works, as far as is known."""
        return self._peer is not None and self._peer.is_alive

    async def __aenter__(self) -> Self:
        ways = [self._bridge()]
        if self._channel is Channel.JPEG:
            self._bridging.set()
        else:
            ways.append(self._keep_webrtc())
        self._tasks = [asyncio.create_task(way) for way in ways]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._drop_peer()

    def use(self, link: Link) -> None:
        """From now on signaling and JPEG frames go over ``link``."""
        self._link = link
        self._left.clear()
        self._linked.set()
        self._turned.set()

    def leave(self) -> None:
        """The connection is lost."""
        self._link = None
        self._linked.clear()
        self._left.set()
        self._turned.set()

    def moved(self, overlap: Overlap) -> None:
        """Makes a new peer connection, to another server. The old connection goes on until ``overlap``
        ends."""
        if self._peer is not None and self._peer.is_alive:
            overlap.leave_peer(self._peer)
            self._peer = None
            self._was_away = True
            self._failed.set()

    def refused(self) -> None:
        """Makes a new peer connection, because the server dropped the old connection."""
        self._was_away = True
        self._failed.set()

    async def played(self) -> None:
        """Returns when all was sent. Raises `ClipError`, `Refused`, and `Unreachable` if a required relay
        gives no path."""
        ending = asyncio.create_task(self._source.played())
        try:
            await asyncio.wait([ending, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done():
                    task.result()
            await ending
        finally:
            ending.cancel()

    def take(self, message: Pong | Rate | Result | StateEvent) -> None:
        """Takes a message of the server."""
        match message:
            case Pong():
                self._jpeg.received(message.id)
            case Result():
                self._jpeg.answered(message)
            case StateEvent() if message.state is ServerState.MEDIA_FAILED:
                self._failed.set()
            case Rate():
                self._rate = message
                if self._peer is not None:
                    self._peer.bitrate.limit(message.max_bitrate)
                self._obey()

    def note_age(self, result: Result) -> None:
        """Looks at how old a result is, whichever way it came."""
        captured_ms = result.frame.capture_time_ms
        if captured_ms is not None and not result.frame.capture_time_estimated:
            self._words.result(time.monotonic(), time.time() - captured_ms / 1000.0)

    async def _keep_webrtc(self) -> None:
        attempts = 0
        while True:
            self._failed.clear()
            patience = asyncio.get_running_loop().call_later(_PATIENCE_S, self._bridge_time)
            try:
                why = await self._connect()
            finally:
                patience.cancel()
            if why is None and self._peer is not None:
                attempts = 0
                why = await self._flow(self._peer)
            self._bridge_time()  # before the peer connection is closed, which takes a moment
            await self._drop_peer()
            if why is not None:
                self._tell(why)
            await asyncio.sleep(_RETRY_S[min(attempts, len(_RETRY_S) - 1)])
            attempts += 1

    def _tell(self, why: NoMediaPath) -> None:
        """Reports the failed path only while the socket works, since else the whole network is down."""
        if self._link is not None and self._link.is_heard and not self._relay_only:
            self._words.no_media_path(why)

    async def _connect(self) -> NoMediaPath | None:
        """Returns why it did not come up, if so. Raises as `played`."""
        await self._linked.wait()
        assert self._link is not None
        try:
            peer = self._peer = Peer(
                self._source,
                self._link,
                ResultChannel.DATACHANNEL
                if self._channel is Channel.DATACHANNEL
                else ResultChannel.WEBSOCKET,
                relay_only=self._relay_only,
                max_bitrate=None if self._rate is None else self._rate.max_bitrate,
                on_sent=self._count,
                on_result=self._on_result,
            )
            async with asyncio.timeout(_RELAYED_ATTEMPT_S if self._relay_only else _ATTEMPT_S):
                await peer.connect(self._link)
        except TimeoutError:
            pass
        except Unreachable:
            if self._link is not None and self._relay_only:
                raise  # nothing but the relay may carry it
            return NoMediaPath.REFUSED
        if self.is_alive:
            return None
        if self._relay_only and self._link is not None:
            raise Unreachable("no media path through the relay")
        if peer.found_path:
            return NoMediaPath.UNFINISHED
        return NoMediaPath.BLOCKED if peer.found_no_path else NoMediaPath.REFUSED

    async def _flow(self, peer: Peer) -> NoMediaPath | None:
        """Media flows, with pauses, until the peer connection is lost for good. Returns why, where it is not
        that the whole network was away."""
        while peer.is_alive and not self._failed.is_set():
            self._was_away = False
            self._bridging.clear()
            self._turned.set()
            self._obey()
            self._words.webrtc_works()
            await _first(peer.silent(), self._failed.wait())
            self._bridge_time()
            await _first(self._no_hope(), peer.heard(), self._failed.wait())
            if self._hopeless:
                break
        return None if self._was_away else NoMediaPath.LOST

    async def _no_hope(self) -> None:
        """Returns if a new negotiation is better than waiting for an answer.

        A network that was down comes back with its old addresses or with new ones.
        """
        self._hopeless = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HOPE_S):
                await self._left.wait()
        if self._left.is_set():
            self._was_away = True
            await self._linked.wait()
            await asyncio.sleep(_HOPE_AFTER_RETURN_S)
        self._hopeless = True

    async def _drop_peer(self) -> None:
        if self._peer is not None:
            peer, self._peer = self._peer, None
            await peer.close()

    def _bridge_time(self) -> None:
        if not self._relay_only:
            self._bridging.set()
            self._obey()

    async def _bridge(self) -> None:
        """JPEG frames, while there is no better way."""
        while True:
            await self._bridging.wait()
            await self._linked.wait()
            assert self._link is not None
            self._turned.clear()
            sending = asyncio.create_task(self._jpeg.run(self._link))
            turned = asyncio.create_task(self._turned.wait())
            try:
                await asyncio.wait([sending, turned], return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                turned.cancel()
                await asyncio.wait([sending, turned])
            if not sending.cancelled():
                with contextlib.suppress(Unreachable):  # who reads the link notices
                    sending.result()
                await asyncio.sleep(0.05)

    def _count(self, frame: av.VideoFrame, captured_ms: float) -> None:
        scale = 1.0 if self._bridging.is_set() else self._player.scale_resolution_down_by
        self._size = (frame.width * scale, frame.height * scale)
        self._obey()
        form = None if self._peer is None else self._peer.bitrate.form
        is_narrow = self._jpeg.pacing.is_narrow if self._bridging.is_set() else form is not None
        self._words.sent(time.monotonic(), is_narrow=is_narrow)
        self._on_sent(frame, captured_ms)

    def _obey(self) -> None:
        """What the server asks for, and the link has room for."""
        framerate = None if self._rate is None else self._rate.max_framerate
        if self._bridging.is_set():
            self._player.max_framerate = min(framerate or MAX_FRAMERATE, MAX_FRAMERATE)
            self._player.scale_resolution_down_by = 1.0
            return
        scale = 1.0 if self._rate is None else self._rate.scale_resolution_down_by
        form = None if self._peer is None else self._peer.bitrate.form
        if form is not None:
            framerate = min(framerate or form.max_framerate, form.max_framerate)
            width, height = self._size
            scale = max(scale, width / form.max_width, height / form.max_height)
        self._player.max_framerate = framerate
        now = self._player.scale_resolution_down_by
        if not now / _SCALE_STEP < scale < now * _SCALE_STEP:
            self._player.scale_resolution_down_by = scale


async def _first(*waiting: Coroutine[Any, Any, object]) -> None:
    """Returns when one of them does."""
    tasks = [asyncio.create_task(each) for each in waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
