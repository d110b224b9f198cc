"""The aiohttp end of ``/ws/inference``: typed messages in and out, bounded in size, rate and time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from signaling.messages import (
    MAX_JPEG_BYTES,
    MAX_TEXT_BYTES,
    ClientMessage,
    EndReason,
    ErrorCode,
    ProtocolError,
    ServerMessage,
    decode_client,
    encode,
)
from signaling.rate_limit import RateLimit

_SEND_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 1.0
_MAX_UNSENT_BYTES = 64 * 1024
_MESSAGES_PER_S = 50.0
_MESSAGE_BURST = 200.0
FRAMES_PER_S = 100
FRAME_BYTES_PER_S = 16 * MAX_JPEG_BYTES
"""Our clients send 15 frames a second, of a few ten kilobytes."""
_BURST_S = 2.0
_EXCESS_PER_S, _EXCESS_BURST = 5.0, 200.0
"""Frames that are only dropped. More of them end the connection."""


class SocketClosed(Exception):
    """The socket is gone; ``reason`` says how."""

    def __init__(self, reason: EndReason) -> None:
        super().__init__(reason)
        self.reason = reason


class FrameDropped(ProtocolError):
    """A JPEG frame came too fast. There may be many: they need not all be told."""


class SignalingSocket:
    """One accepted WebSocket.

    The socket is pinged by the server (RFC 6455, 5.5.2), which every client library answers by itself; a
    peer that is silent for ``liveness_timeout_s`` is taken for gone.
    """

    def __init__(self, request: web.Request, liveness_timeout_s: float) -> None:
        # aiohttp waits heartbeat/2 for the pong, so silence is noticed after 1.5 heartbeats.
        self._socket = web.WebSocketResponse(
            timeout=_CLOSE_TIMEOUT_S,
            heartbeat=liveness_timeout_s / 1.5,
            max_msg_size=2 * MAX_JPEG_BYTES,
            compress=False,
            autoping=False,  # aiohttp would answer as many as come
        )
        self._request = request
        self._limit = RateLimit(_MESSAGES_PER_S, _MESSAGE_BURST)
        self._frame_limit = RateLimit(FRAMES_PER_S, _BURST_S * FRAMES_PER_S)
        self._frame_byte_limit = RateLimit(FRAME_BYTES_PER_S, _BURST_S * FRAME_BYTES_PER_S)
        self._excess_limit = RateLimit(_EXCESS_PER_S, _EXCESS_BURST)

    @property
    def response(self) -> web.WebSocketResponse:
        """What the aiohttp handler returns in the end."""
        return self._socket

    async def accept(self) -> None:
        """Completes the upgrade. Raises `SocketClosed` when the client has gone meanwhile."""
        try:
            await self._socket.prepare(self._request)
        except ConnectionError as exc:
            raise SocketClosed(EndReason.CLIENT_GONE) from exc

    async def receive(self) -> ClientMessage | bytes:
        """The next message; ``bytes`` are one JPEG frame.

        Raises `ProtocolError` for what cannot be understood or comes too fast, `SocketClosed` at the end.
        """
        message = await self._socket.receive()
        while message.type in (WSMsgType.PING, WSMsgType.PONG):
            self._check_rate()
            if message.type is WSMsgType.PING:
                await self._sending(self._socket.pong(message.data))
            message = await self._socket.receive()
        match message.type:
            case WSMsgType.TEXT:
                self._check_rate()
                if len(message.data) > MAX_TEXT_BYTES:
                    raise ProtocolError(
                        ErrorCode.TOO_LARGE, f"a text message may have {MAX_TEXT_BYTES} bytes", fatal=True
                    )
                return decode_client(message.data)
            case WSMsgType.BINARY:
                self._check_frame_rate(len(message.data))
                if len(message.data) > MAX_JPEG_BYTES:
                    raise ProtocolError(ErrorCode.TOO_LARGE, f"a JPEG frame may have {MAX_JPEG_BYTES} bytes")
                return bytes(message.data)
            case WSMsgType.ERROR if isinstance(message.data, aiohttp.WebSocketError):
                raise SocketClosed(EndReason.PROTOCOL_ERROR)  # not a WebSocket frame, or far too large
            case _:
                raise SocketClosed(self._end_reason())

    async def send(self, message: ServerMessage) -> None:
        """Sends what must arrive; raises `SocketClosed` when the other side does not take it in time."""
        await self._sending(self._socket.send_str(encode(message)))

    async def send_if_ready(self, text: str) -> bool:
        """Sends what may be lost: false, and nothing sent, while the other side is slow to read."""
        transport = self._request.transport
        if transport is None or transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            return False
        await self._sending(self._socket.send_str(text))
        return True

    async def close(self) -> None:
        """Closes the socket; idempotent, and short even when the other side is gone."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._socket.close(drain=False)
        except (TimeoutError, ConnectionError):
            if self._request.transport is not None:
                self._request.transport.abort()

    async def _sending(self, sending: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await sending
        except (ConnectionError, TimeoutError, RuntimeError, aiohttp.ClientError) as exc:
            raise SocketClosed(self._end_reason()) from exc

    def _check_rate(self) -> None:
        if not self._limit.allows(asyncio.get_running_loop().time()):
            raise ProtocolError(
                ErrorCode.RATE_LIMITED, f"more than {_MESSAGES_PER_S:g} messages a second", fatal=True
            )

    def _check_frame_rate(self, size: int) -> None:
        """Fatal for a flood only: a frame that is dropped harms nobody."""
        now = asyncio.get_running_loop().time()
        if not (self._frame_limit.allows(now) and self._frame_byte_limit.allows(now, size)):
            raise FrameDropped(
                ErrorCode.RATE_LIMITED,
                f"dropped: {FRAMES_PER_S} frames and {FRAME_BYTES_PER_S} bytes a second are taken",
                fatal=not self._excess_limit.allows(now),
            )

    def _end_reason(self) -> EndReason:
        if isinstance(self._socket.exception(), (aiohttp.ServerTimeoutError, TimeoutError)):
            return EndReason.PING_TIMEOUT
        return EndReason.CLIENT_GONE
