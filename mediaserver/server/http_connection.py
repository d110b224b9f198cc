"""One TCP connection of an HTTP client: limits of time and number, and the form of error responses.

aiohttp reads the requests and runs the handlers. This module overrides public methods of
`aiohttp.web.RequestHandler`; `tests/mediaserver/server/test_http_connection.py` tests them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

from aiohttp import web
from aiohttp.web_request import BaseRequest

from mediaserver.errors import is_out_of_memory
from mediaserver.server.arrivals import Arrivals
from mediaserver.server.bounded_pool import BoundedPool
from mediaserver.server.http_answers import refusal_for

_MAX_CONNECTIONS = 256
"""Connections of a process, without WebSockets. A request takes milliseconds; a browser opens six."""
_IDLE_S = 10.0
"""Time from the connection, or the last response, to the end of the next request's headers."""
_LEFTOVER_S = 2.0
"""Time for the rest of a body that no handler has read."""
_STALL_S = 20.0
"""Time for which a peer may leave sent data unacknowledged."""

logger = logging.getLogger(__name__)


class HttpConnection(web.RequestHandler):
    """One accepted connection. `connections` returns a factory."""

    __slots__ = ("_arrivals", "_beginning", "_ended", "_headers", "_pool", "_wire")

    def __init__(
        self,
        server: web.Server,
        pool: BoundedPool[HttpConnection],
        arrivals: Arrivals,
        headers: Mapping[str, str],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            # In aiohttp this also limits the time to the first request, and to the end of its headers.
            keepalive_timeout=_IDLE_S,
            lingering_time=_LEFTOVER_S,
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,
        )
        self._pool = pool
        self._arrivals = arrivals
        self._headers = headers
        self._ended = ended
        self._wire: asyncio.Transport | None = None
        self._beginning: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Ends the connection at once, without sending pending data."""
        if self._wire is not None:
            self._wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Closes another connection if there are too many, and delays reading until the turn."""
        self._wire = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        address = peer[0] if peer else ""
        loop = asyncio.get_running_loop()
        wait_s = self._arrivals.wait_s(address, loop.time())
        if wait_s is None:
            self.abort()
            return
        longest_there = self._pool.add(self, address)
        if longest_there is not None:
            longest_there.abort()
        if wait_s > 0:
            self._wire.pause_reading()
            self._beginning = loop.call_later(wait_s, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        assert self._wire is not None
        super().connection_made(self._wire)
        sock = self._wire.get_extra_info("socket")
        if sock is not None:
            # tcp(7): the kernel closes the connection if the peer does not acknowledge data for this time.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_STALL_S * 1000))
        if self._beginning is not None:
            self._beginning = None
            self._wire.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Removes the connection from the pool."""
        self._ended()
        self._pool.discard(self)
        if self._beginning is not None:
            self._beginning.cancel()
        super().connection_lost(exc)

    def set_parser(self, *args: Any, **kwargs: Any) -> None:
        """Removes the connection from the pool, as a WebSocket has limits of its own."""
        self._pool.discard(self)
        super().set_parser(*args, **kwargs)

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Adds headers to each response before it is sent, and converts errors of aiohttp to JSON."""
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
        """Answers malformed requests (``status`` 400) and failures of handlers. The connection closes."""
        if isinstance(exc, (web.RequestPayloadError, ConnectionError)):
            status = 400  # the body was malformed, or ended early
        elif exc is not None and is_out_of_memory(exc):
            logger.error("out of memory: a request cannot be answered")
            status = 503
        elif status >= 500:
            logger.error("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        answer = refusal_for(status)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, exc_info: BaseException | None = None, **kwargs: Any) -> None:
        """Logs failures of aiohttp. Its message may contain data of the client, such as a token."""
        logger.error("a connection failed: %s", type(exc_info).__name__)


def connections(
    server: web.Server, headers: Mapping[str, str], ended: Callable[[], None] = lambda: None
) -> Callable[[], HttpConnection]:
    """Returns a factory of connections with shared limits, for `asyncio.loop.create_server`.

    ``ended`` is called at the end of each connection.
    """
    pool, arrivals = BoundedPool[HttpConnection](_MAX_CONNECTIONS), Arrivals()
    return lambda: HttpConnection(server, pool, arrivals, headers, ended)
