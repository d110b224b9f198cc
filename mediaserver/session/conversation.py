"""Reads a client's messages, and answers those that break the protocol with ``error``."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from mediaserver.session.ending import ConnectionEnded
from mediaserver.telemetry.metrics import Metrics
from signaling.messages import ClientMessage, EndReason, Error, ErrorCode, Hello, ProtocolError, ServerMessage
from signaling.negotiation import Negotiation, State
from signaling.rate_limit import RateLimit
from signaling.websocket import FrameDropped, SignalingSocket

_ERRORS_PER_S, _ERROR_BURST = 1.0, 20.0
_DROPPED_FRAMES_TOLD_PER_S = 1.0

Handler: TypeAlias = Callable[[ClientMessage | bytes], Awaitable[None]]


class Conversation:
    """The messages of one client, checked against the state of the protocol.

    `hello`, `read` and `refusing` raise `ConnectionEnded` after a fatal error, or after too many errors. All
    but `refusing` raise `signaling.websocket.SocketClosed`.
    """

    def __init__(self, socket: SignalingSocket, metrics: Metrics) -> None:
        self.negotiation = Negotiation()
        self._socket = socket
        self._protocol_errors = metrics.protocol_errors
        self._error_limit = RateLimit(_ERRORS_PER_S, _ERROR_BURST)
        self._dropped_frame_limit = RateLimit(_DROPPED_FRAMES_TOLD_PER_S, burst=1)

    async def hello(self) -> Hello:
        """Returns the first message, ``hello``. Another or an unreadable message is a fatal error."""
        while True:
            message = await self._next()
            if isinstance(message, Hello):
                return message

    async def read(self, handle: Handler) -> None:
        """Passes each message to ``handle`` until cancelled. ``bytes`` are JPEG frames."""
        while True:
            message = await self._next()
            async with self.refusing():
                await handle(message)

    async def send(self, message: ServerMessage) -> None:
        """Sends a message that must arrive."""
        await self._socket.send(message)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Sends a `ProtocolError` in the block to the client."""
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
        """Counts an error and sends it. Errors for dropped frames are sent once a second at most."""
        self._protocol_errors.labels(error.code).inc()
        fatal = error.fatal or self.negotiation.state is State.NEW
        is_dropped_frame = isinstance(error, FrameDropped) and not fatal
        if is_dropped_frame and not self._dropped_frame_limit.allows(time.monotonic()):
            return
        await self.send(Error(error.code, error.message, fatal))
        if error.code is ErrorCode.UNAUTHORIZED:
            raise ConnectionEnded(EndReason.UNAUTHORIZED)
        if fatal or not (is_dropped_frame or self._error_limit.allows(time.monotonic())):
            raise ConnectionEnded(EndReason.PROTOCOL_ERROR)
