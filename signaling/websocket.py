"""The aiohttp end of ``/ws/inference``: typed messages in and out, bounded in size, rate and time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from signaling.codec import decode_client, encode
from signaling.messages import (
    MAX_JPEG_BYTES,
    MAX_TEXT_BYTES,
    ClientMessage,
    EndReason,
    ErrorCode,
    ProtocolError,
    ServerMessage,
)
from signaling.rate_limit import RateLimit
from signaling.read_receipts import ReadReceipts

_SEND_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 1.0
_MAX_UNSENT_BYTES = 64 * 1024
_MAX_UNREAD_S = 1.0
_UNREAD_TIMEOUT_S = 10.0
_MESSAGES_PER_S = 50.0
_MESSAGE_BURST = 200.0
MAX_MESSAGE_BYTES = 2 * MAX_JPEG_BYTES
"""A larger message is not read: the socket is closed with code 1009 (RFC 6455, 7.4.1)."""
FRAMES_PER_S = 100
FRAME_BYTES_PER_S = 16 * MAX_JPEG_BYTES
"""Our clients send 15 frames a second, of a few ten kilobytes."""
_BURST_S = 2.0
_EXCESS_PER_S, _EXCESS_BURST = 5.0, 200.0
"""Frames beyond the rate that are only dropped. More of them end the connection."""


class SocketClosed(Exception):
    """The socket is closed or lost; ``reason`` says how."""

    def __init__(self, reason: EndReason) -> None:
        super().__init__(reason)
        self.reason = reason


class FrameDropped(ProtocolError):
    """A JPEG frame came too fast. There may be many: not each needs an ``error``."""


class SignalingSocket:
    """One accepted WebSocket.

    The server pings the socket (RFC 6455, 5.5.2), and client libraries answer by themselves. A peer that is
    silent for ``liveness_timeout_s`` counts as gone.
    """

    def __init__(self, request: web.Request, liveness_timeout_s: float) -> None:
        # aiohttp waits heartbeat/2 for the pong, so silence is noticed after 1.5 heartbeats.
        self._socket = web.WebSocketResponse(
            timeout=_CLOSE_TIMEOUT_S,
            heartbeat=liveness_timeout_s / 1.5,
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
            autoping=False,  # aiohttp would answer as many as come
        )
        self._request = request
        self._limit = RateLimit(_MESSAGES_PER_S, _MESSAGE_BURST)
        self._frame_limit = RateLimit(FRAMES_PER_S, _BURST_S * FRAMES_PER_S)
        self._frame_byte_limit = RateLimit(FRAME_BYTES_PER_S, _BURST_S * FRAME_BYTES_PER_S)
        self._excess_limit = RateLimit(_EXCESS_PER_S, _EXCESS_BURST)
        self._receipts = ReadReceipts()

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
            else:
                self._receipts.take(bytes(message.data))
            message = await self._socket.receive()
        match message.type:
            case WSMsgType.TEXT:
                self._check_rate()
                if len(message.data.encode()) > MAX_TEXT_BYTES:
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
        """Sends a message that must arrive. Raises `SocketClosed` if the peer does not take it within 5 s."""
        await self.send_text(encode(message))

    async def send_text(self, text: str) -> None:
        """As `send`, for a message that is encoded already."""
        await self._sending(self._socket.send_str(text))

    @property
    def is_read(self) -> bool:
        """Whether the other side reads what it is sent, so that one more result would not wait."""
        transport = self._request.transport
        is_written = transport is not None and transport.get_write_buffer_size() <= _MAX_UNSENT_BYTES
        return is_written and self._unread_s() <= _MAX_UNREAD_S

    @property
    def is_forsaken(self) -> bool:
        """Whether the other side has read nothing for longer than `_UNREAD_TIMEOUT_S`."""
        return self._unread_s() > _UNREAD_TIMEOUT_S

    async def send_if_read(self, text: str) -> bool:
        """Sends a message that may be lost. Returns false, and sends nothing, while the peer reads slowly."""
        if not self.is_read:
            return False
        await self._sending(self._socket.send_str(text))
        ping = self._receipts.ask(asyncio.get_running_loop().time())
        if ping is not None:
            await self._sending(self._socket.ping(ping))
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

    def _unread_s(self) -> float:
        return self._receipts.unread_s(asyncio.get_running_loop().time())

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
        if isinstance(self._socket.exception(), MemoryError):
            return EndReason.SERVER_FULL  # there was none left to read a message into
        return EndReason.CLIENT_GONE
