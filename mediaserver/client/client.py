"""The Python client: plays a recording or a camera into a server and yields results.

>>> async with InferenceClient("ws://127.0.0.1:8080/ws/inference") as client:
...     async for result in client.stream("clip.mp4"):
...         print(result.seq, [found.label for found in result.detections or []])
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import deque
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from msgspec import UNSET

from mediaserver.client.channel import Channel
from mediaserver.client.connector import Connector
from mediaserver.client.continuity import Continuity
from mediaserver.client.errors import ClientError, Refused, Unreachable
from mediaserver.client.link import Link, check_token
from mediaserver.client.live_address import LiveAddress, live_address
from mediaserver.client.lock_step import LockStep
from mediaserver.client.media_path import MediaPath
from mediaserver.client.overlap import Overlap
from mediaserver.client.player import Player, Source, player_for
from mediaserver.client.shown_url import shown_url
from mediaserver.client.stats import ClientStats
from mediaserver.client.still_frames import StillFrames
from mediaserver.client.timeline import Timeline
from signaling.messages import (
    Closing,
    Configure,
    EndReason,
    Error,
    Event,
    Hello,
    OcrEvent,
    Pong,
    Rate,
    Result,
    ResultChannel,
    ServerMessage,
    StateEvent,
    Welcome,
)
from signaling.pipeline_config import PipelineConfig

__all__ = ["Channel", "ClientError", "ClientStats", "InferenceClient", "Refused", "Unreachable"]

_MAX_WAITING_RESULTS = 64
_LAST_RESULTS_S = 0.5
_LET_GO_S = 0.1
"""A full server needs this time to free the place of the last session."""


class InferenceClient:
    """One session on a server, as an async context manager: entering it connects. One `stream` at a time.

    If the server is full, starting or down, entering waits for ``wait_s`` seconds at most. The object has
    ``stats``, a `ClientStats`, and ``timeline``, a `Timeline`.

    The client resumes a lost connection. After the server's resume window it raises `Unreachable`. If its
    server ends, a new session with the same pipeline begins on another server. ``seq`` goes on. While
    WebRTC finds no path, frames go as JPEG over the WebSocket.

    ``on_event`` gets the events ``ocr`` and ``state``, ``on_problem`` gets errors that do not end the
    session. ``on_notice`` gets messages about the network, waiting, and a live source that is lost or back.
    With ``relay_only`` media goes through the server's TURN server only. A ``token`` that is not UTF-8 raises
    `ClientError`.
    """

    def __init__(
        self,
        url: str = "ws://127.0.0.1:8080/ws/inference",
        *,
        pipeline: PipelineConfig | None = None,
        channel: Channel = Channel.DATACHANNEL,
        token: str | None = None,
        relay_only: bool = False,
        wait_s: float = 0.0,
        on_event: Callable[[Event], None] = lambda event: None,
        on_problem: Callable[[Error], None] = lambda error: None,
        on_notice: Callable[[str], None] = lambda words: None,
    ) -> None:
        check_token(token)
        self.stats = ClientStats()
        self.timeline = Timeline()
        self._shown = shown_url(url)
        self._pipeline = copy.deepcopy(pipeline) if pipeline else PipelineConfig()
        self._channel = channel
        self._result_channel = (
            ResultChannel.DATACHANNEL if channel is Channel.DATACHANNEL else ResultChannel.WEBSOCKET
        )
        self._token = self._next_token = token
        self._relay_only = relay_only
        self._wait_s = wait_s
        self._continuity = Continuity()
        self._on_event = on_event
        self._on_problem = on_problem
        self._on_notice = on_notice
        self._results: deque[Result] = deque(maxlen=_MAX_WAITING_RESULTS)
        self._arrived = asyncio.Event()
        self._connector = Connector(url, self._take)
        self._link: Link | None = None
        self._overlap = Overlap()
        self._player: Player | None = None
        self._media: MediaPath | None = None
        self._stills: StillFrames | None = None
        self._lock_step: LockStep | None = None
        self._every_frame = False
        self._welcome: Welcome | None = None

    @property
    def welcome(self) -> Welcome:
        """The server's last ``welcome``: session id, models, limits."""
        if self._welcome is None:
            raise ClientError("not connected: use `async with`")
        return self._welcome

    @property
    def position_s(self) -> float:
        """Seconds of the clip that were played."""
        source = self._player or self._stills
        return 0.0 if source is None else source.position_s

    @property
    def duration_s(self) -> float | None:
        """Seconds of the whole clip; ``None`` if the file does not have its duration."""
        source = self._player or self._stills
        return None if source is None else source.duration_s

    @property
    def share(self) -> float | None:
        """The share of the clip that was played, 0..1; ``None`` if the duration is unknown."""
        source = self._player or self._stills
        return None if source is None else source.share

    def file_at(self, time_s: float) -> Path | None:
        """The file of the frame at ``time_s``: the clip, or a picture of the folder."""
        source = self._player or self._stills
        return None if source is None else source.file_at(time_s)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._connector)
            connecting = self._connector.connect_first(self._hello, self._wait_s, self._on_notice)
            self._settle(await connecting)
            stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link is not None:
            await self._link.close()
        await self._overlap.close()
        await self._connector.__aexit__(kind, error, trace)

    async def stream(
        self, source: Source, duration_s: float | None = None, *, every_frame: bool = False
    ) -> AsyncGenerator[Result]:
        """Plays ``source`` in real time and yields results; the newest 64 wait for the caller.

        ``source`` is a video file, a folder of pictures, or live: ``rtsp://…``, ``http://…``,
        ``/dev/video0``. A live source ends after ``duration_s`` only.

        With ``every_frame`` each frame of a recording is inferred once, in order, in a session of its own.
        Frames go as JPEG over the WebSocket, each after the caller took the last result. Results are then the
        same in each run. A lost connection raises `Unreachable`, a live source `ClientError`.
        """
        if every_frame and (isinstance(source, LiveAddress) or live_address(source) is not None):
            raise ClientError(f"{source}: every frame is for recordings; a live source goes on meanwhile")
        step, play = self._step_through, self._play_live
        results = step(Path(str(source)), duration_s) if every_frame else play(source, duration_s)
        async with contextlib.aclosing(results):
            async for result in results:
                yield result

    async def _play_live(self, source: Source, duration_s: float | None) -> AsyncGenerator[Result]:
        if self._every_frame:
            await self._begin_anew(every_frame=False)
        async with (
            player_for(source, duration_s, self._on_notice) as player,
            self._media_path(player) as media,
        ):
            self._player, self._media = player, media
            playing = asyncio.create_task(self._play(media))
            playing.add_done_callback(lambda _: self._arrived.set())
            try:
                while self._results or not playing.done():
                    if self._results:
                        yield self._results.popleft()
                    else:
                        self._arrived.clear()
                        await self._arrived.wait()
                await playing
            finally:
                self._player = self._media = None
                playing.cancel()
                await asyncio.wait([playing])

    async def _step_through(self, source: Path, duration_s: float | None) -> AsyncGenerator[Result]:
        may_read = self._pipeline.ocr is not False and "ocr" in self.welcome.models
        limits = self.welcome.limits
        async with StillFrames(source, duration_s, limits=limits, legible=may_read) as frames:
            await self._begin_anew(every_frame=True)
            link = self._connected()
            reading = asyncio.create_task(link.read())
            self._stills, self._lock_step = frames, LockStep(link, reading)
            try:
                while (frame := await frames.next()) is not None:
                    result = await self._lock_step.infer(frame)
                    self.stats.frames_sent += 1
                    self.stats.damaged = frames.damaged
                    yield result
            finally:
                self._stills = self._lock_step = None
                reading.cancel()
                await asyncio.wait([reading])

    async def request_ocr(self) -> None:
        """Requests OCR on the newest frame. The texts arrive as an event and with the next result.

        If the connection is lost before the server received the request, the client repeats it. Raises
        `ClientError` before the first connection and `Unreachable` on a lost connection.
        """
        await self._continuity.request_ocr(self._connected())

    async def configure(self, pipeline: PipelineConfig) -> None:
        """Changes the pipeline. Fields that are left out stay unchanged, also over a reconnect.

        Raises `ClientError` before the first connection and `Unreachable` on a lost connection. Then the
        pipeline is unchanged.
        """
        await self._connected().send(Configure(pipeline))
        kept = copy.deepcopy(pipeline)
        for name in kept.__struct_fields__:
            if (value := getattr(kept, name)) is not UNSET:
                setattr(self._pipeline, name, value)

    # --- connecting ---

    async def _begin_anew(self, *, every_frame: bool) -> None:
        """Begins another session, without the state of the earlier session."""
        await self._connected().close()
        self._link, self._welcome, resume_window_s = None, None, self.welcome.limits.resume_window_s
        self._every_frame = self.timeline.in_step = every_frame
        self._results.clear()
        self._continuity.begin_anew()
        self._connector.node = None
        self._settle(await self._connector.connect_patiently(self._hello, _LET_GO_S, resume_window_s))
        if every_frame and not self.welcome.every_frame:
            raise Refused(f"{self._shown}: this server is older: it cannot infer every frame")

    def _hello(self) -> Hello:
        return Hello(
            token=self._next_token,
            channel=self._result_channel,
            pipeline=self._pipeline,
            resume=self._welcome.resume_token if self._welcome else None,
            seq_floor=self._continuity.seq_floor,
            every_frame=self._every_frame,
            keep_media=self._media is not None and self._media.is_alive,
            last_event_id=self._continuity.last_event_id if self._welcome else None,
        )

    def _settle(self, connected: tuple[Link, Welcome]) -> None:
        self._link, self._welcome = connected
        self._next_token = self._token
        self._continuity.welcomed(self._welcome)

    async def _reconnect(self, pause_s: float) -> None:
        patience_s = self.welcome.limits.resume_window_s
        self._settle(await self._connector.connect_patiently(self._hello, pause_s, patience_s))
        self.stats.reconnects += 1
        await self._continuity.repeat_request(self._connected())

    async def _move(self, link: Link, closing: Closing) -> None:
        """Moves to another server; ``link`` serves on until the new server has results."""
        self._connector.node = None
        self._next_token = self._token if closing.token is UNSET else closing.token
        reading = asyncio.create_task(link.read())
        try:
            await self._reconnect(0.0)
        finally:
            self._overlap.leave_link(link, reading)

    def _connected(self) -> Link:
        if self._link is None:
            raise ClientError("not connected: use `async with`")
        return self._link

    # --- playing ---

    def _media_path(self, player: Player) -> MediaPath:
        def count(frame: av.VideoFrame, captured_ms: float) -> None:
            self._count_sent(player, frame, captured_ms)

        return MediaPath(
            player,
            self._channel,
            relay_only=self._relay_only,
            on_sent=count,
            on_result=self._take_result,
            on_notice=self._on_notice,
        )

    async def _play(self, media: MediaPath) -> None:
        """Plays to the end of the clip, over any number of connections."""
        try:
            while (closing := await self._play_over(link := self._connected(), media)) is not None:
                if closing.retry_after_s is None:
                    raise Refused(f"{self._shown}: the server ended the session: {closing.reason}")
                if closing.reason is EndReason.MOVED:
                    await self._move(link, closing)
                    media.moved(self._overlap)
                else:
                    media.leave()
                    await link.close()
                    await self._reconnect(closing.retry_after_s)
                    if media.is_alive and not self.welcome.media_kept:
                        media.refused()
        finally:
            media.leave()

    async def _play_over(self, link: Link, media: MediaPath) -> Closing | None:
        """Plays over one link; ``None`` when the clip has ended, else how the link ended."""
        reading = asyncio.create_task(link.read())
        playing = asyncio.create_task(media.played())
        media.use(link)
        try:
            await asyncio.wait([reading, playing], return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                return reading.result()
            playing.result()
            await self._last_results()
            return None
        finally:
            for task in (reading, playing):
                task.cancel()
            await asyncio.wait([reading, playing])

    def _count_sent(self, player: Player, frame: av.VideoFrame, captured_ms: float) -> None:
        self.timeline.sent(captured_ms, frame.time)
        self.stats.frames_sent += 1
        self.stats.frames_skipped, self.stats.damaged = player.skipped, player.damaged
        self.stats.slowed_s = player.slowed_s

    async def _last_results(self) -> None:
        """Waits for results under way: until none came for 0.5 s."""
        seen = -1
        while seen != self.stats.results:
            seen = self.stats.results
            await asyncio.sleep(_LAST_RESULTS_S)

    # --- what comes in ---

    def _take(self, message: ServerMessage) -> None:
        if self._lock_step is not None:
            self._lock_step.take(message)
        if self._media is not None and isinstance(message, Pong | Rate | Result | StateEvent):
            self._media.take(message)
        self._continuity.take(message)
        match message:
            case Result():
                self._take_result(message)
            case OcrEvent() | StateEvent():
                self._on_event(message)
            case Error():
                self._on_problem(message)

    def _take_result(self, result: Result) -> None:
        """Takes a result of either channel; an older result than the newest is dropped."""
        if not self._continuity.is_new(result.seq):
            self.stats.results_late += 1
            return
        if result.seq > self.welcome.seq_floor:
            self._overlap.end()
        if self._media is not None:
            self._media.note_age(result)
        self.stats.results += 1
        if self._every_frame:
            return
        if len(self._results) == _MAX_WAITING_RESULTS:
            self.stats.results_dropped += 1
        self._results.append(result)
        self._arrived.set()
