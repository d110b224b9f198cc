"""The HTTP surface: the WebSocket, health, metrics, draining, and the page."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Meta

from mediaserver.paths import web_root
from mediaserver.server.core import MediaServer, Readiness
from mediaserver.settings.types import HttpUrl
from signaling.auth import Audience, Unauthorized, origin_allowed, verify
from signaling.websocket import SignalingSocket, SocketClosed

_SERVER: web.AppKey[MediaServer] = web.AppKey("server", MediaServer)

_MAX_BODY_BYTES = 4 * 1024


class _DrainRequest(msgspec.Struct):
    if_idle: bool
    for_s: Annotated[int, Meta(ge=0, le=3600)]


def create_app(server: MediaServer) -> web.Application:
    """The application around a running `MediaServer`."""
    app = web.Application(
        client_max_size=_MAX_BODY_BYTES, middlewares=[_security_headers(server.settings.lifecycle_api)]
    )
    app[_SERVER] = server
    app.router.add_get("/ws/inference", _inference)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_post("/drain", _drain)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/config.json", _config)
    app.router.add_get("/", _index)
    app.router.add_static("/", web_root())
    return app


async def _inference(request: web.Request) -> web.StreamResponse:
    server = request.app[_SERVER]
    origin = request.headers.get("Origin")
    if not origin_allowed(origin, request.host, server.settings.allowed_origins):
        server.metrics.connection_refused("origin")
        message = "pages of this origin may not use this server (allowed_origins)"
        return _error(403, "origin", message, _readable_by(origin))
    refusal = server.refusal()
    if refusal is not None:
        server.metrics.connection_refused(refusal.reason)
        headers = {"Retry-After": str(refusal.retry_after_s)} | _readable_by(origin)
        return web.json_response(
            {"error": refusal.reason, "retry_after_s": refusal.retry_after_s}, status=503, headers=headers
        )
    socket = SignalingSocket(request, server.settings.liveness_timeout_s)
    try:
        await socket.accept()
    except SocketClosed:
        return web.Response()  # nobody is there to read it
    await server.connect(socket)
    return socket.response


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def _readyz(request: web.Request) -> web.Response:
    server = request.app[_SERVER]
    refusal = server.refusal()
    ready = server.able
    body = {
        "ready": ready,
        "state": "degraded" if server.readiness is Readiness.READY and not ready else server.readiness,
        "failure": server.trouble,
        "accepting": refusal is None,
        "retry_after_s": refusal.retry_after_s if refusal else None,
    }
    return web.json_response(body, status=200 if ready else 503)


async def _drain(request: web.Request) -> web.Response:
    """Takes no new sessions for a while; asked for by who is about to stop the machine."""
    server = request.app[_SERVER]
    keys = server.settings.token_keys
    if keys is None:
        return _error(404, "not_found", "without token_keys nobody can be told from anybody: no draining")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        verify(token if scheme.lower() == "bearer" else None, keys.by_id, Audience.CONTROL, time.time())
    except Unauthorized as exc:
        return _error(401, "unauthorized", str(exc), {"WWW-Authenticate": "Bearer"})
    try:
        asked = msgspec.json.decode(await request.read(), type=_DrainRequest)
    except web.HTTPRequestEntityTooLarge:
        return _error(413, "too_large", f"the body may have {_MAX_BODY_BYTES} bytes")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return _error(400, "bad_request", str(exc))
    done = server.pause(asked.for_s, if_idle=asked.if_idle)
    return web.json_response({"sessions": server.sessions}, status=200 if done else 409)


async def _metrics(request: web.Request) -> web.Response:
    # With several workers it reads files: not on the event loop.
    body = await asyncio.to_thread(request.app[_SERVER].metrics.exposition)
    return web.Response(
        body=body,
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def _config(request: web.Request) -> web.Response:
    return web.json_response({"api": request.app[_SERVER].settings.lifecycle_api})


async def _index(request: web.Request) -> web.FileResponse:
    return web.FileResponse(web_root() / "index.html")


def _readable_by(origin: str | None) -> dict[str, str]:
    """A browser hides why an upgrade failed; a page on another host asks for it by GET."""
    return {} if origin is None else {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": code, "message": message}, status=status, headers=headers)


def _security_headers(lifecycle_api: HttpUrl | None) -> Middleware:
    connect = ["'self'", "ws:", "wss:"]
    if lifecycle_api is not None:
        # The machine that it names, at an address not known yet, is asked by HTTP why it refused a socket.
        connect += [lifecycle_api.origin, "https:", "http://127.0.0.1:*", "http://localhost:*"]
    headers = {
        "Content-Security-Policy": (
            "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
            f"connect-src {' '.join(connect)}; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    @web.middleware
    async def add_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not response.prepared:
            response.headers.update(headers)
        return response

    return add_headers
