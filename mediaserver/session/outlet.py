"""The way of a session's output to its client: results over the data channel or the WebSocket."""

from __future__ import annotations

from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError

from mediaserver.telemetry.metrics import Metrics
from signaling.messages import Result, ResultChannel, ServerMessage, encode
from signaling.websocket import SignalingSocket

_MAX_BUFFERED_BYTES = 16 * 1024
"""A few results. More in the data channel's buffer means that the path is slower than the results."""


class Outlet:
    """Sends to one client. ``wanted`` is where it wants its results. `send` and `send_result` raise
    `signaling.websocket.SocketClosed`."""

    def __init__(self, socket: SignalingSocket, wanted: ResultChannel, metrics: Metrics) -> None:
        self._socket = socket
        self._wanted = wanted
        self._sent = metrics.results_sent
        self._data_channel: RTCDataChannel | None = None

    def use(self, data_channel: RTCDataChannel | None) -> None:
        """From now on results go here, if the client wants a data channel at all."""
        self._data_channel = data_channel

    async def send(self, message: ServerMessage) -> None:
        """Sends what must arrive."""
        await self._socket.send(message)

    async def send_result(self, result: Result) -> bool:
        """Sends what may be lost: over the data channel when there is one, else over the WebSocket. False
        when the path is congested and the result was dropped."""
        channel = await self._send(encode(result))
        if channel is None:
            return False
        self._sent.labels(channel).inc()
        return True

    async def _send(self, text: str) -> ResultChannel | None:
        channel = self._data_channel
        if self._wanted is ResultChannel.DATACHANNEL and channel is not None and channel.readyState == "open":
            if channel.bufferedAmount > _MAX_BUFFERED_BYTES:
                return None
            try:
                channel.send(text)
            except (InvalidStateError, ConnectionError):
                self._data_channel = None
            else:
                return ResultChannel.DATACHANNEL
        return ResultChannel.WEBSOCKET if await self._socket.send_if_ready(text) else None
