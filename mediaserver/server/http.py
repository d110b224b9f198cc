"""The HTTP surface: the WebSocket, health, metrics, draining, and the page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Meta

from mediaserver.paths import web_root
from mediaserver.server.core import MediaServer, Readiness
from mediaserver.server.http_access import check_control, client_address, may_read_metrics, named_as_ours
from mediaserver.server.http_answers import refusal, refusal_for
from signaling.auth import Unauthorized, origin_allowed
from signaling.websocket import SignalingSocket, SocketClosed

_SERVER: web.AppKey[MediaServer] = web.AppKey("server", MediaServer)

_MAX_BODY_BYTES = 4 * 1024
_BODY_TIMEOUT_S = 10.0


class _DrainRequest(msgspec.Struct):
    if_idle: bool
    for_s: Annotated[int, Meta(ge=0, le=3600)]


def create_app(server: MediaServer) -> web.Application:
    """The application around a running `MediaServer`."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_only_by_own_name])
    app[_SERVER] = server
    app.router.add_get("/ws/inference", _inference)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_post("/drain", _drain)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/config.json", _config)
    app.router.add_get("/{file:.*}", _page)
    return app


@web.middleware
async def _only_by_own_name(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Without keys whoever reaches the server may use it: a foreign page must not reach it by a browser."""
    settings = request.app[_SERVER].settings
    if settings.token_keys is None and not named_as_ours(request, settings.host, settings.allowed_origins):
        message = (
            "this server knows no such Host: use its address or localhost, name the page in allowed_origins, "
            "or set token_keys"
        )
        return refusal(421, "misdirected_request", message)
    return await handler(request)


async def _inference(request: web.Request) -> web.StreamResponse:
    server = request.app[_SERVER]
    origin = request.headers.get("Origin")
    if not origin_allowed(origin, request.headers.get("Host", ""), server.settings.allowed_origins):
        server.metrics.connection_refused("origin")
        message = "pages of this origin may not use this server (allowed_origins)"
        return refusal(403, "origin", message, _readable_by(origin))
    closed = server.refusal()
    if closed is not None:
        server.metrics.connection_refused(closed.reason)
        headers = {"Retry-After": str(closed.retry_after_s)} | _readable_by(origin)
        return web.json_response(
            {"error": closed.reason, "retry_after_s": closed.retry_after_s}, status=503, headers=headers
        )
    socket = SignalingSocket(request, server.settings.liveness_timeout_s)
    try:
        await socket.accept()
    except SocketClosed:
        return web.Response()  # nobody is there to read it
    await server.connect(socket, client_address(request))
    return socket.response


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def _readyz(request: web.Request) -> web.Response:
    server = request.app[_SERVER]
    closed = server.refusal()
    ready = server.able
    body = {
        "ready": ready,
        "state": "degraded" if server.readiness is Readiness.READY and not ready else server.readiness,
        "failure": server.trouble,
        "accepting": closed is None,
        "refusal": closed.reason if closed else None,
        "retry_after_s": closed.retry_after_s if closed else None,
    }
    return web.json_response(body, status=200 if ready else 503)


async def _drain(request: web.Request) -> web.Response:
    """Takes no new sessions for a while; asked for by who is about to stop the machine."""
    server = request.app[_SERVER]
    keys = server.settings.token_keys
    if keys is None:
        return refusal(404, "not_found", "without token_keys nobody can be told from anybody: no draining")
    try:
        check_control(request, keys)
    except Unauthorized as exc:
        return refusal(401, "unauthorized", str(exc), {"WWW-Authenticate": "Bearer"})
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            body = await request.read()
        asked = msgspec.json.decode(body, type=_DrainRequest)
    except TimeoutError:
        return refusal(408, "too_slow", f"the body may take {_BODY_TIMEOUT_S:g} s")
    except web.HTTPRequestEntityTooLarge:
        return refusal(413, "too_large", f"the body may have {_MAX_BODY_BYTES} bytes")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return refusal(400, "bad_request", str(exc))
    done = server.pause(asked.for_s, if_idle=asked.if_idle)
    return web.json_response({"sessions": server.sessions}, status=200 if done else 409)


async def _metrics(request: web.Request) -> web.Response:
    server = request.app[_SERVER]
    if not may_read_metrics(request, server.settings.token_keys):
        message = "metrics are for this machine; from elsewhere with a token to control the server"
        return refusal(403, "forbidden", message)
    # With several workers it reads files: not on the event loop.
    body = await asyncio.to_thread(server.metrics.exposition)
    return web.Response(
        body=body,
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def _config(request: web.Request) -> web.Response:
    return web.json_response({"api": request.app[_SERVER].settings.lifecycle_api})


async def _page(request: web.Request) -> web.StreamResponse:
    # It asks the disk: not on the event loop.
    file = await asyncio.to_thread(_page_file, request.match_info["file"] or "index.html")
    return refusal_for(404) if file is None else web.FileResponse(file)


def _page_file(name: str) -> Path | None:
    """A file of the page, and nothing outside its folder, whatever the name says."""
    root = web_root().resolve()
    try:
        file = (root / name).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None
    except (OSError, ValueError):
        return None


def _readable_by(origin: str | None) -> dict[str, str]:
    """A browser hides why an upgrade failed; a page on another host asks for it by GET."""
    return {} if origin is None else {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
