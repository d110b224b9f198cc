"""The Python client: plays a clip into a server and yields results as they come.

>>> async with InferenceClient("ws://127.0.0.1:8080/ws/inference") as client:
...     async for result in client.stream("clip.mp4"):
...         print(result.seq, [found.label for found in result.detections or []])

``ClientError``
  ├─ ``Unreachable``  no server answers, or it takes nobody now
  └─ ``Refused``      the server does not do what was asked
A clip that cannot be played raises `mediaserver.client.clip.ClipError`.
"""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import av
import cv2
import numpy as np
from msgspec import UNSET

from mediaserver.client.clip import ClipPlayer
from mediaserver.client.errors import ClientError, Refused, Unreachable
from mediaserver.client.link import Link
from mediaserver.client.timeline import Timeline
from mediaserver.client.track import ClipTrack
from signaling.jpeg import with_capture_time
from signaling.messages import (
    Closing,
    Configure,
    Error,
    Event,
    Hello,
    OcrEvent,
    PipelineConfig,
    Rate,
    Result,
    ResultChannel,
    ServerMessage,
    StateEvent,
    Trigger,
    Welcome,
)

__all__ = ["Channel", "ClientError", "ClientStats", "InferenceClient", "Refused", "Unreachable"]

_MAX_WAITING_RESULTS = 64
_BACKOFF_FIRST_S, _BACKOFF_LAST_S = 0.25, 2.0
_LAST_RESULTS_S = 0.5
_JPEG_WIDTH, _JPEG_HEIGHT, _JPEG_QUALITY = 320, 240, 80
_JPEG_FRAMERATE = 15.0


class Channel(StrEnum):
    """How frames go up and results come down."""

    DATACHANNEL = "datachannel"
    """Frames over WebRTC, results over its data channel."""
    WEBSOCKET = "websocket"
    """Frames over WebRTC, results over the WebSocket."""
    JPEG = "jpeg"
    """Frames as JPEG and results, both over the WebSocket: where UDP is blocked."""


@dataclass(slots=True)
class ClientStats:
    """Counters since the client was made."""

    frames_sent: int = 0
    frames_skipped: int = 0
    """Frames of the clip that were not sent: late, or more than the server asked for."""
    results: int = 0
    results_dropped: int = 0
    """Results that were thrown away because nobody took them."""
    reconnects: int = 0


class InferenceClient:
    """Use as an async context manager; entering connects. One `stream` at a time.

    ``stats`` counts; ``timeline`` tells which moment of the clip a result belongs to.

    A lost connection is taken up again by itself, with growing pauses, as the same session; after
    the server's resume window without success `Unreachable` is raised. ``on_event`` gets OCR results and
    changes of the server's state, ``on_problem`` non-fatal errors. With ``relay_only`` media goes through the
    TURN server that the server names, and no other way. Raises `ClientError` for a ``token`` that is no text.
    """

    def __init__(
        self,
        url: str = "ws://127.0.0.1:8080/ws/inference",
        *,
        pipeline: PipelineConfig | None = None,
        channel: Channel = Channel.DATACHANNEL,
        token: str | None = None,
        relay_only: bool = False,
        on_event: Callable[[Event], None] = lambda event: None,
        on_problem: Callable[[Error], None] = lambda error: None,
    ) -> None:
        _check_token(token)
        self.stats = ClientStats()
        self.timeline = Timeline()
        self._url = url
        self._pipeline = copy.deepcopy(pipeline) if pipeline else PipelineConfig()
        self._channel = channel
        self._result_channel = (
            ResultChannel.DATACHANNEL if channel is Channel.DATACHANNEL else ResultChannel.WEBSOCKET
        )
        self._token = token
        self._relay_only = relay_only
        self._on_event = on_event
        self._on_problem = on_problem
        self._results: deque[Result] = deque(maxlen=_MAX_WAITING_RESULTS)
        self._arrived = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None
        self._link: Link | None = None
        self._player: ClipPlayer | None = None
        self._welcome: Welcome | None = None

    @property
    def welcome(self) -> Welcome:
        """What the server said at the last connect: session id, models, limits."""
        if self._welcome is None:
            raise ClientError("not connected: use `async with`")
        return self._welcome

    @property
    def position_s(self) -> float:
        """Seconds of the clip played so far."""
        return 0.0 if self._player is None else self._player.position_s

    @property
    def duration_s(self) -> float | None:
        """Seconds that the clip will play, where the file says it."""
        return None if self._player is None else self._player.duration_s

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        try:
            await self._connect()
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link is not None:
            await self._link.close()
        if self._http is not None:
            await self._http.close()

    async def stream(self, source: str | Path, duration_s: float | None = None) -> AsyncGenerator[Result]:
        """Plays ``source`` (any file that PyAV reads) in real time and yields results, newest kept."""
        async with ClipPlayer(source, duration_s) as player:
            self._player = player
            playing = asyncio.create_task(self._play(player))
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
                self._player = None
                playing.cancel()
                await asyncio.wait([playing])

    async def request_ocr(self) -> None:
        """OCR on the newest frame, now; the texts come as an event and with the next result.

        Raises `ClientError` when it is not connected and `Unreachable` when the connection is lost.
        """
        await self._connected().send(Trigger())

    async def configure(self, pipeline: PipelineConfig) -> None:
        """Changes what runs; fields left out stay as they are, also over a reconnect.

        Raises `ClientError` when it is not connected and `Unreachable` when the connection is lost; nothing
        has changed then.
        """
        await self._connected().send(Configure(pipeline))
        kept = copy.deepcopy(pipeline)
        for name in kept.__struct_fields__:
            if (value := getattr(kept, name)) is not UNSET:
                setattr(self._pipeline, name, value)

    # --- connecting ---

    async def _connect(self) -> None:
        assert self._http is not None
        link = Link(self._http, self._url, self._take, relay_only=self._relay_only)
        hello = Hello(
            token=self._token,
            channel=self._result_channel,
            pipeline=self._pipeline,
            resume=self._welcome.resume_token if self._welcome else None,
        )
        try:
            self._welcome = await link.open(hello)
        except BaseException:
            await link.close()
            raise
        self._link = link

    async def _reconnect(self, first_pause_s: float) -> None:
        """Tries until the resume window has passed. The jitter keeps clients of one server apart."""
        give_up_at = time.monotonic() + self.welcome.limits.resume_window_s
        backoff_s = _BACKOFF_FIRST_S
        pause_s = max(backoff_s, first_pause_s)
        while True:
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            try:
                await self._connect()
            except Unreachable as exc:
                pause_s = max(backoff_s, exc.retry_after_s)
                backoff_s = min(2 * backoff_s, _BACKOFF_LAST_S)
                if time.monotonic() + pause_s > give_up_at:
                    raise
            else:
                self.stats.reconnects += 1
                return

    def _connected(self) -> Link:
        if self._link is None:
            raise ClientError("not connected: use `async with`")
        return self._link

    # --- playing ---

    async def _play(self, player: ClipPlayer) -> None:
        """Plays to the end of the clip, over as many connections as it takes."""
        while True:
            link = self._connected()
            closing = await self._play_over(link, player)
            if closing is None:
                return
            await link.close()
            if closing.retry_after_s is None:
                raise Refused(f"{self._url}: the server ended the session: {closing.reason}")
            await self._reconnect(closing.retry_after_s)

    async def _play_over(self, link: Link, player: ClipPlayer) -> Closing | None:
        """Plays over one link; ``None`` when the clip has ended, else how the link ended."""
        reading = asyncio.create_task(link.read())
        sending = asyncio.create_task(self._send(link, player))
        try:
            await asyncio.wait([reading, sending], return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                return reading.result()
            try:
                sending.result()
            except Unreachable:
                if not reading.done():
                    raise
                return reading.result()
            await self._last_results()
            return None
        finally:
            for task in (reading, sending):
                task.cancel()
            await asyncio.wait([reading, sending])
            await link.end_media()

    async def _send(self, link: Link, player: ClipPlayer) -> None:
        if self._channel is Channel.JPEG:
            await self._send_jpegs(link, player)
            return

        def count(frame: av.VideoFrame) -> None:
            link.hold_bitrate()
            self._count_sent(player, frame, time.time() * 1000.0)

        track = ClipTrack(player, count)
        await link.offer(track, self._result_channel, player.framerate)
        await track.played()

    async def _send_jpegs(self, link: Link, player: ClipPlayer) -> None:
        player.max_framerate = _JPEG_FRAMERATE
        while (frame := await player.next_frame()) is not None:
            captured_ms = time.time() * 1000.0
            data = await asyncio.to_thread(_encode_jpeg, frame)
            await link.send_jpeg(with_capture_time(data, captured_ms))
            self._count_sent(player, frame, captured_ms)

    def _count_sent(self, player: ClipPlayer, frame: av.VideoFrame, captured_ms: float) -> None:
        self.timeline.sent(captured_ms, frame.time)
        self.stats.frames_sent += 1
        self.stats.frames_skipped = player.skipped

    async def _last_results(self) -> None:
        """Waits for what is still under way: until nothing came for a while."""
        seen = -1
        while seen != self.stats.results:
            seen = self.stats.results
            await asyncio.sleep(_LAST_RESULTS_S)

    # --- what comes in ---

    def _take(self, message: ServerMessage) -> None:
        match message:
            case Result():
                self.stats.results += 1
                if len(self._results) == _MAX_WAITING_RESULTS:
                    self.stats.results_dropped += 1
                self._results.append(message)
                self._arrived.set()
            case OcrEvent() | StateEvent():
                self._on_event(message)
            case Error():
                self._on_problem(message)
            case Rate() if self._player is not None:
                self._obey(message, self._player)

    def _obey(self, rate: Rate, player: ClipPlayer) -> None:
        if self._channel is Channel.JPEG:
            player.max_framerate = min(rate.max_framerate, _JPEG_FRAMERATE)
            return
        player.max_framerate = rate.max_framerate
        player.scale_resolution_down_by = rate.scale_resolution_down_by
        self._connected().limit_bitrate(rate.max_bitrate)


def _check_token(token: str | None) -> None:
    try:
        (token or "").encode()
    except UnicodeEncodeError as exc:
        raise ClientError("the token is not UTF-8: no server gave it out") from exc


def _encode_jpeg(frame: av.VideoFrame) -> bytes:
    scale = min(1.0, _JPEG_WIDTH / frame.width, _JPEG_HEIGHT / frame.height)
    picture = frame.reformat(
        width=max(1, round(frame.width * scale)), height=max(1, round(frame.height * scale)), format="bgr24"
    ).to_ndarray()
    _, data = cv2.imencode(".jpg", np.asarray(picture), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(data)
