"""Sends a session's output: to its client, by data channel or WebSocket, and to its watchers."""

from __future__ import annotations

import asyncio
from collections.abc import Set

from mediaserver.session.watchers import Watcher
from mediaserver.telemetry.metrics import Metrics
from mediaserver.webrtc.results_channel import ResultsChannel
from signaling.codec import encode
from signaling.messages import OcrEvent, Result, ResultChannel, ServerMessage, StateEvent
from signaling.websocket import SignalingSocket

_LOOK_S = 0.02


class Outlet:
    """Sends to one client, with results on the channel ``wanted``, and to ``watchers``.

    ``socket`` is ``None`` for a client of WHIP. Methods that send raise `signaling.websocket.SocketClosed`.
    """

    def __init__(
        self,
        socket: SignalingSocket | None,
        wanted: ResultChannel,
        watchers: Set[Watcher],
        metrics: Metrics,
    ) -> None:
        self._socket = socket
        self._wanted = wanted
        self._watchers = watchers
        self._sent = metrics.results_sent
        self._data_channel: ResultsChannel | None = None

    def use(self, data_channel: ResultsChannel | None) -> None:
        """Sets the data channel for results, for a client that asked for one."""
        self._data_channel = data_channel

    async def send(self, message: ServerMessage) -> None:
        """Sends a message that must arrive. Events go to the watchers, too."""
        text = encode(message)
        if isinstance(message, OcrEvent | StateEvent):
            for watcher in self._watchers:
                watcher.put_event(text)
        if self._socket is not None:
            await self._socket.send_text(text)

    async def send_again(self, event: OcrEvent) -> None:
        """Sends an event to the client again; the watchers have received it."""
        if self._socket is not None:
            await self._socket.send_text(encode(event))

    async def room(self) -> None:
        """Waits until the client reads its results, as inference for unread results would be wasted."""
        while not self._has_room():  # noqa: ASYNC110 - neither a socket's buffer nor a silence has an event
            await asyncio.sleep(_LOOK_S)

    @property
    def is_forsaken(self) -> bool:
        """Whether the client has not read for so long that it must go."""
        return self._socket is not None and self._socket.is_forsaken

    async def send_result(self, result: Result) -> bool:
        """Sends a result, which may be lost. Returns false if the path is congested and it was dropped.

        It goes over an open data channel, else over the WebSocket.
        """
        text = encode(result)
        for watcher in self._watchers:
            watcher.put_result(text)
        channel = self._open_channel()
        if channel is None and self._socket is None:
            return True  # a client without any channel for results asks for none
        taken_by = await self._send(text, channel)
        if taken_by is None:
            return False
        self._sent.labels(taken_by).inc()
        return True

    def _open_channel(self) -> ResultsChannel | None:
        channel = self._data_channel
        is_wanted = self._wanted is ResultChannel.DATACHANNEL
        return channel if is_wanted and channel is not None and channel.is_open else None

    def _has_room(self) -> bool:
        channel = self._open_channel()
        if channel is not None:
            return channel.has_room
        return bool(self._watchers) if self._socket is None else self._socket.is_read

    async def _send(self, text: str, channel: ResultsChannel | None) -> ResultChannel | None:
        if channel is not None:
            if not self._has_room():
                return None
            if channel.send(text):
                return ResultChannel.DATACHANNEL
        if self._socket is None:
            return None
        return ResultChannel.WEBSOCKET if await self._socket.send_if_read(text) else None
