"""One TCP connection of an HTTP client: what it may take in time and number, and the form of its answers.

aiohttp reads the requests and runs the handlers. What it leaves open is decided here, on public names of
`aiohttp.web.RequestHandler`; `tests/mediaserver/server/test_http_connection.py` holds them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

from aiohttp import web
from aiohttp.web_request import BaseRequest

from mediaserver.server.bounded_pool import BoundedPool
from mediaserver.server.http_answers import refusal_for

_MAX_CONNECTIONS = 256
"""Connections of a process that no WebSocket has taken over. A request takes milliseconds, a tab has six."""
_IDLE_S = 10.0
"""From the connection, or the last answer, to the end of the next request's head."""
_LEFTOVER_S = 2.0
"""For a body that nobody asked for."""
_STALL_S = 20.0
"""How long a peer may take nothing of what was sent to it."""

logger = logging.getLogger(__name__)


class HttpConnection(web.RequestHandler):
    """Made for each connection that is accepted; `connections` returns what makes them."""

    __slots__ = ("_headers", "_pool", "_wire")

    def __init__(
        self, server: web.Server, pool: BoundedPool[HttpConnection], headers: Mapping[str, str]
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            # aiohttp's name for it; it counts the time to the first request, and to a head's end, too.
            keepalive_timeout=_IDLE_S,
            lingering_time=_LEFTOVER_S,
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,
        )
        self._pool = pool
        self._headers = headers
        self._wire: asyncio.Transport | None = None

    def abort(self) -> None:
        """Ends the connection at once, whatever is still to be sent."""
        if self._wire is not None:
            self._wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Makes room, if there are too many."""
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)
        sock, peer = transport.get_extra_info("socket"), transport.get_extra_info("peername")
        if sock is not None:
            # tcp(7): the kernel ends a connection whose peer has stopped reading, or is gone without a word.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_STALL_S * 1000))
        longest_there = self._pool.add(self, peer[0] if peer else "")
        if longest_there is not None:
            longest_there.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leaves its place to others."""
        self._pool.discard(self)
        super().connection_lost(exc)

    def set_parser(self, *args: Any, **kwargs: Any) -> None:
        """A WebSocket takes over, which has limits of its own."""
        self._pool.discard(self)
        super().set_parser(*args, **kwargs)

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Every answer passes here before it is sent, those that no handler of ours has made, too."""
        if isinstance(resp, web.HTTPException):
            allowed = resp.headers.get("Allow")
            resp = refusal_for(resp.status)
            if allowed is not None:
                resp.headers["Allow"] = allowed
        if not resp.prepared:
            resp.headers.update(self._headers)
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what is no HTTP (``status`` 400), and what a handler has failed at. The connection ends."""
        if isinstance(exc, (web.RequestPayloadError, ConnectionError)):
            status = 400  # the body was no HTTP, or broke off
        elif status >= 500:
            logger.error("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        answer = refusal_for(status)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, exc_info: BaseException | None = None, **kwargs: Any) -> None:
        """What aiohttp itself fails at. Its words may hold what the client sent, and so a token."""
        logger.error("a connection failed: %s", type(exc_info).__name__)


def connections(server: web.Server, headers: Mapping[str, str]) -> Callable[[], HttpConnection]:
    """What makes the connections of a process, for `asyncio.loop.create_server`. All share one limit."""
    pool = BoundedPool[HttpConnection](_MAX_CONNECTIONS)
    return lambda: HttpConnection(server, pool, headers)
