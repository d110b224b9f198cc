"""Refuses clients of WebSocket and WHIP: those of foreign pages, and all while there is no place."""

from __future__ import annotations

from aiohttp import web

from mediaserver.server.core import MediaServer
from mediaserver.server.http_answers import refusal, try_later
from signaling.auth import origin_allowed


def names_this_node(request: web.Request, server: MediaServer) -> bool:
    """Whether the client claims a session on this node, and so may enter while new clients are refused."""
    return request.query.get("node") == server.settings.node_name


def closed_now(request: web.Request, server: MediaServer, *, comes_back: bool = False) -> web.Response | None:
    """Returns the refusal of a client, and counts it; ``None`` if the client may enter.

    ``comes_back`` is as in `MediaServer.refusal`.
    """
    closed = server.refusal(comes_back=comes_back)
    if closed is None:
        return None
    server.metrics.connection_refused(closed.reason)
    expected_s = closed.expected_s
    return try_later(closed.code, closed.retry_after_s, readable_by_page(request), expected_s=expected_s)


def foreign_origin(request: web.Request, server: MediaServer) -> web.Response | None:
    """Returns the refusal of a page that may not use this server, and counts it; else ``None``."""
    host = request.headers.get("Host", "")
    if origin_allowed(request.headers.get("Origin"), host, server.settings.allowed_origins):
        return None
    server.metrics.connection_refused("origin")
    message = "pages of this origin may not use this server (allowed_origins)"
    return refusal(403, "origin", message, readable_by_page(request))


def readable_by_page(request: web.Request) -> dict[str, str]:
    """Returns headers with which a page of another origin may read the response (CORS).

    Browsers hide the reason of a failed upgrade, so the page asks again by HTTP.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "ETag, Link, Location, Retry-After",
        "Vary": "Origin",
    }
