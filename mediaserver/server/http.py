"""The HTTP interface: the WebSocket, health, metrics, draining, and the page."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Meta

from mediaserver.paths import page_file
from mediaserver.server.core import MediaServer, Readiness
from mediaserver.server.http_access import check_control, client_address, may_read_metrics, named_as_ours
from mediaserver.server.http_answers import refusal, refusal_for
from mediaserver.server.http_body import BodyRefused, read_body
from mediaserver.server.http_entrance import closed_now, foreign_origin, names_this_node
from mediaserver.server.whip import WhipEndpoint
from signaling.auth import Unauthorized
from signaling.websocket import SignalingSocket, SocketClosed

_SERVER: web.AppKey[MediaServer] = web.AppKey("server", MediaServer)

_MAX_BODY_BYTES = 4 * 1024


class _DrainRequest(msgspec.Struct):
    if_idle: bool
    for_s: Annotated[int, Meta(ge=0, le=3600)]


def create_app(server: MediaServer) -> web.Application:
    """Makes the application for a running `MediaServer`."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_only_by_own_name])
    app[_SERVER] = server
    app.router.add_get("/ws/inference", _inference)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_post("/drain", _drain)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/config.json", _config)
    app.add_routes(WhipEndpoint(server).routes())
    app.router.add_get("/{file:.*}", _page)
    return app


@web.middleware
async def _only_by_own_name(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Rejects requests with a foreign ``Host`` on a server without keys.

    Such a server is open to all that can reach it. A foreign page must not reach it through a user's browser.
    """
    settings = request.app[_SERVER].settings
    if settings.token_keys is None and not named_as_ours(request, settings.host, settings.allowed_origins):
        message = (
            "this server has another name than Host: use its address or localhost, "
            "name the page in allowed_origins, or set token_keys"
        )
        return refusal(421, "misdirected_request", message)
    return await handler(request)


async def _inference(request: web.Request) -> web.StreamResponse:
    server = request.app[_SERVER]
    comes_back = names_this_node(request, server)
    refused = foreign_origin(request, server) or closed_now(request, server, comes_back=comes_back)
    if refused is not None:
        return refused
    socket = SignalingSocket(request, server.settings.liveness_timeout_s)
    try:
        await socket.accept()
    except SocketClosed:
        return web.Response()  # the client is gone
    address = client_address(request, server.settings.trusted_proxies)
    await server.connect(socket, address, comes_back=comes_back)
    return socket.response


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def _readyz(request: web.Request) -> web.Response:
    server = request.app[_SERVER]
    closed = server.refusal()
    ready = server.able
    body = {
        "ready": ready,
        "state": _state(server),
        "failure": server.trouble,
        "accepting": closed is None,
        "refusal": closed.code if closed else None,
        "retry_after_s": closed.retry_after_s if closed else None,
        "expected_s": closed.expected_s if closed else None,
        "node": server.settings.node_name,
        "load": round(server.load, 3),
        "load_parts": {part: round(load, 3) for part, load in server.row.board.load.items()},
    }
    # The header tells Envoy to send only clients here that resume their sessions.
    headers = {} if ready else {"x-envoy-degraded": "true"}
    return web.json_response(body, status=200 if ready else 503, headers=headers)


def _state(server: MediaServer) -> str:
    if server.readiness is not Readiness.READY or server.able:
        return server.readiness
    return Readiness.LOADING if server.trouble is None else "degraded"


async def _drain(request: web.Request) -> web.Response:
    """Pauses new sessions. The caller is about to stop the machine."""
    server = request.app[_SERVER]
    keys = server.settings.token_keys
    if keys is None:
        return refusal(404, "not_found", "draining needs token_keys, to identify the caller")
    try:
        check_control(request, keys, server.settings.region)
    except Unauthorized as exc:
        return refusal(401, "unauthorized", str(exc), {"WWW-Authenticate": "Bearer"})
    try:
        asked = msgspec.json.decode(await read_body(request, _MAX_BODY_BYTES), type=_DrainRequest)
    except BodyRefused as exc:
        return exc.answer
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return refusal(400, "bad_request", str(exc))
    done = server.pause(asked.for_s, if_idle=asked.if_idle)
    return web.json_response({"sessions": server.sessions}, status=200 if done else 409)


async def _metrics(request: web.Request) -> web.Response:
    server = request.app[_SERVER]
    if not may_read_metrics(request, server.settings.token_keys, server.settings.region):
        message = "metrics need a request from this machine, or a token for control of the server"
        return refusal(403, "forbidden", message)
    # With several workers this reads files, so it runs in a thread.
    body = await asyncio.to_thread(server.metrics.exposition)
    return web.Response(
        body=body,
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def _config(request: web.Request) -> web.Response:
    server = request.app[_SERVER]
    return web.json_response({"api": server.settings.lifecycle_api, "synthetic": server.synthetic})


async def _page(request: web.Request) -> web.StreamResponse:
    # This accesses the disk, so it runs in a thread.
    file = await asyncio.to_thread(page_file, request.match_info["file"] or "index.html")
    if file is not None:
        return web.FileResponse(file)
    # Programs get JSON as for other refusals, browsers a page.
    words = None
    if "text/html" in request.headers.get("Accept", ""):
        words = await asyncio.to_thread(page_file, "404.html")
    return refusal_for(404) if words is None else web.FileResponse(words, status=404)
