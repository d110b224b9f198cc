"""The Python client's end of one WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable

import aiohttp

from mediaserver.client.clock_offset import ClockOffset
from mediaserver.client.errors import ClientError, Refused, Unreachable
from mediaserver.client.shown_url import shown_url
from signaling.codec import decode_server, encode
from signaling.messages import (
    EXPECTED_HEADER,
    MAX_JPEG_BYTES,
    Answer,
    Bye,
    ClientMessage,
    Closing,
    EndReason,
    Error,
    ErrorCode,
    Hello,
    IceServer,
    Offer,
    Ping,
    Pong,
    ProtocolError,
    Result,
    ServerMessage,
    Welcome,
)

_HANDSHAKE_TIMEOUT_S = 10.0
_HEARTBEAT_S = 2.0
_PING_S = 1.0
_HEARD_S = 1.5
"""Each ping has its answer: without any word for so long the socket may be lost."""
_OFFER_REFUSED = frozenset({ErrorCode.BAD_SDP, ErrorCode.NO_VIDEO, ErrorCode.UNSUPPORTED_CODEC})
_NO_ANSWER_NOW = frozenset({ErrorCode.OUT_OF_SOCKETS, ErrorCode.RATE_LIMITED})


class Link:
    """Signaling of one connection. ``on_message`` gets what is not part of the set-up. ``node``: which of the
    servers at ``url`` is asked for. ``timeout_s``: how long connecting may take.

    Use ``open``, then ``read`` in a task of the caller's. `close` releases everything.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        on_message: Callable[[ServerMessage], None],
        *,
        node: str | None = None,
        timeout_s: float = _HANDSHAKE_TIMEOUT_S,
    ) -> None:
        self._http = http
        self._url, self._shown = url, shown_url(url)
        self._on_message = on_message
        self._node = node
        self._timeout_s = timeout_s
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._answer: asyncio.Future[str] | None = None
        self._lost = self._only_results = False
        self._heard_at = float("-inf")
        self._clock = ClockOffset()
        self._numbers = itertools.count(1)
        self.ice_servers: list[IceServer] = []

    @property
    def is_heard(self) -> bool:
        """Whether the server is there, as far as its answers tell."""
        return time.monotonic() - self._heard_at < _HEARD_S

    def only_results(self) -> None:
        """From now on nothing else is handed out: another link has taken over."""
        self._only_results = True

    async def open(self, hello: Hello) -> Welcome:
        """Connects and says hello. Raises `Unreachable` or `Refused`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                self._socket = await self._http.ws_connect(
                    self._url,
                    params={} if self._node is None else {"node": self._node},
                    heartbeat=_HEARTBEAT_S,
                    max_msg_size=4 * MAX_JPEG_BYTES,
                )
                await self.send(hello)
                first = await self._receive()
        except aiohttp.WSServerHandshakeError as exc:
            raise _handshake_error(self._shown, exc) from exc
        except (
            aiohttp.ClientError,
            OSError,
            UnicodeError,
        ) as exc:  # UnicodeError: a name that DNS cannot have
            raise Unreachable(
                f"{self._shown}: no server answers ({_reason(exc)}); start one: mediaserver serve",
                timed_out=isinstance(exc, TimeoutError),
            ) from exc
        if isinstance(first, Error):
            raise Refused(f"{self._shown}: {first.message} ({first.code})")
        if isinstance(first, Closing):
            raise _turned_away(self._shown, first)
        if not isinstance(first, Welcome):
            raise Unreachable(f"{self._shown}: the server did not welcome this client")
        self.ice_servers = first.ice_servers
        return first

    async def read(self) -> Closing:
        """Hands out messages until the server closes or ends the session; returns how it ended."""
        closing = Closing(EndReason.CLIENT_GONE, retry_after_s=0.0)
        asking = asyncio.create_task(self._ask_the_time())
        try:
            while (message := await self._receive()) is not None:
                if isinstance(message, Closing):
                    closing = message
                    break
                self._take(message)
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            self._lost = True
            self._settle_answer(Unreachable("the connection was lost before the answer"))
        return closing

    async def offer(self, sdp: str, framerate: float) -> str:
        """The answer to an SDP offer. ``framerate`` is what the track gives when nothing holds it back.

        Raises `Refused` or `Unreachable`.
        """
        answer = self._answer = asyncio.get_running_loop().create_future()
        try:
            await self.send(Offer(sdp, framerate))
            if self._lost:
                raise Unreachable(f"{self._shown}: the connection was lost")
            answered: str = await answer
            return answered
        finally:
            self._answer = None

    async def ping(self) -> int:
        """Asks for an answer, and returns its number; raises `Unreachable` when the socket is gone."""
        number = next(self._numbers)
        self._clock.asked(number, time.time() * 1000.0)
        await self.send(Ping(number, self._clock.offset_ms))
        return number

    async def send(self, message: ClientMessage) -> None:
        """Sends a message; raises `Unreachable` when the socket is gone."""
        await self._sending(self._open_socket().send_str(encode(message)))

    async def send_jpeg(self, data: bytes) -> None:
        """Sends one JPEG frame; raises `Unreachable` when the socket is gone."""
        await self._sending(self._open_socket().send_bytes(data))

    async def close(self) -> None:
        """Says goodbye where that is possible and releases everything. Idempotent."""
        if self._socket is not None:
            socket, self._socket = self._socket, None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                        await socket.send_str(encode(Bye()))
                    # Also where nobody is left to say goodbye to: it frees the connection.
                    await socket.close()

    def _take(self, message: ServerMessage) -> None:
        match message:
            case _ if self._only_results:
                if isinstance(message, Result):
                    self._on_message(message)
            case Answer():
                self._settle_answer(message.sdp)
            case Error() if message.code in _OFFER_REFUSED and self._answer is not None:
                self._settle_answer(Refused(f"{message.message} ({message.code})"))
            case Error() if message.code in _NO_ANSWER_NOW and self._answer is not None:
                self._settle_answer(Unreachable(f"{message.message} ({message.code})"))
                self._on_message(message)
            case Pong():
                self._clock.answered(message.id, message.server_time_ms, time.time() * 1000.0)
                self._on_message(message)
            case _:
                self._on_message(message)

    def _settle_answer(self, outcome: str | ClientError) -> None:
        if self._answer is None or self._answer.done():
            return
        if isinstance(outcome, str):
            self._answer.set_result(outcome)
        else:
            self._answer.set_exception(outcome)

    async def _ask_the_time(self) -> None:
        """So that both sides know how old a frame is."""
        with contextlib.suppress(Unreachable):
            while True:
                await self.ping()
                await asyncio.sleep(_PING_S)

    async def _receive(self) -> ServerMessage | None:
        """The next message of a known type; ``None`` at the end."""
        socket = self._open_socket()
        while True:
            frame = await socket.receive()
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return None
            self._heard_at = time.monotonic()
            # A newer server may send types that this client does not know.
            with contextlib.suppress(ProtocolError):
                return decode_server(frame.data)

    def _open_socket(self) -> aiohttp.ClientWebSocketResponse:
        if self._socket is None:
            raise Unreachable(f"{self._shown}: not connected")
        return self._socket

    async def _sending(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except (ConnectionError, aiohttp.ClientError) as exc:
            raise Unreachable(f"{self._shown}: the connection was lost") from exc


def _reason(exc: Exception) -> str:
    """Without aiohttp's "ssl:default" beside the address, and without the URL."""
    if isinstance(exc, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "this is no URL of a WebSocket"
    if isinstance(exc, aiohttp.ClientConnectorError):
        exc = exc.os_error
    return getattr(exc, "strerror", None) or str(exc) or "timed out"


def _turned_away(url: str, closing: Closing) -> ClientError:
    """In place of ``welcome``."""
    if closing.retry_after_s is None:
        return Refused(f"{url}: the server lets nobody in: {closing.reason}")
    seconds = closing.retry_after_s
    words = f"{url}: no session now ({closing.reason}); try again in {seconds:g} s"
    return Unreachable(words, seconds, answered=True)


def _handshake_error(url: str, exc: aiohttp.WSServerHandshakeError) -> ClientError:
    if exc.status == 503:
        retry_after = exc.headers.get("Retry-After", "") if exc.headers else ""
        seconds = float(retry_after) if retry_after.isdigit() else 1.0
        expected = exc.headers.get(EXPECTED_HEADER, "") if exc.headers else ""
        more = f"; more places come in about {expected} s" if expected.isdigit() else ""
        words = f"{url}: the server takes no one now{more}; try again in {seconds:g} s"
        return Unreachable(words, seconds, answered=True)
    if exc.status in (200, 404):
        return Refused(f"{url}: there is no WebSocket; that of a server is at /ws/inference")
    return Refused(f"{url}: the server answered {exc.status} {exc.message}")


def check_token(token: str | None) -> None:
    """Raises `ClientError` for a token that is not UTF-8."""
    try:
        (token or "").encode()
    except UnicodeEncodeError as exc:
        raise ClientError("the token is not UTF-8: no server gave it out") from exc
