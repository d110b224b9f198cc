"""What a client may say and when, and what it is told of what it may not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from mediaserver.session.ending import ConnectionEnded
from mediaserver.telemetry.metrics import Metrics
from signaling.messages import ClientMessage, EndReason, Error, ErrorCode, Hello, ProtocolError, ServerMessage
from signaling.negotiation import Negotiation
from signaling.rate_limit import RateLimit
from signaling.websocket import FrameDropped, SignalingSocket

_ERRORS_PER_S, _ERROR_BURST = 1.0, 20.0
_DROPPED_FRAMES_TOLD_PER_S = 1.0

Handler: TypeAlias = Callable[[ClientMessage | bytes], Awaitable[None]]


class Conversation:
    """Messages of one client that have their place in the protocol; the others are answered with ``error``.

    `hello`, `read` and `refusing` raise `ConnectionEnded` after a fatal error, or after too many; all but
    `refusing` raise `signaling.websocket.SocketClosed`.
    """

    def __init__(self, socket: SignalingSocket, metrics: Metrics) -> None:
        self.negotiation = Negotiation()
        self._socket = socket
        self._protocol_errors = metrics.protocol_errors
        self._error_limit = RateLimit(_ERRORS_PER_S, _ERROR_BURST)
        self._dropped_frame_limit = RateLimit(_DROPPED_FRAMES_TOLD_PER_S, burst=1)

    async def hello(self) -> Hello:
        """The first message that has its place, which is ``hello``."""
        while True:
            message = await self._next()
            if isinstance(message, Hello):
                return message

    async def read(self, handle: Handler) -> None:
        """Hands each message to ``handle``, ``bytes`` being JPEG frames, until it is cancelled."""
        while True:
            message = await self._next()
            async with self.refusing():
                await handle(message)

    async def send(self, message: ServerMessage) -> None:
        """Sends what must arrive."""
        await self._socket.send(message)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """A `ProtocolError` inside is told to the client."""
        try:
            yield
        except ProtocolError as exc:
            await self._refuse(exc)

    async def _next(self) -> ClientMessage | bytes:
        while True:
            async with self.refusing():
                message = await self._socket.receive()
                if isinstance(message, bytes):
                    self.negotiation.receive_frame()
                else:
                    self.negotiation.receive(message)
                return message

    async def _refuse(self, error: ProtocolError) -> None:
        """Each error is counted. Of frames that come too fast the client is told now and then: it may send so
        many that telling it would be work of its own."""
        self._protocol_errors.labels(error.code).inc()
        is_dropped_frame = isinstance(error, FrameDropped) and not error.fatal
        if is_dropped_frame and not self._dropped_frame_limit.allows(time.monotonic()):
            return
        await self.send(Error(error.code, error.message, error.fatal))
        if error.code is ErrorCode.UNAUTHORIZED:
            raise ConnectionEnded(EndReason.UNAUTHORIZED)
        if error.fatal or not (is_dropped_frame or self._error_limit.allows(time.monotonic())):
            raise ConnectionEnded(EndReason.PROTOCOL_ERROR)
