"""The HTTP surface: the WebSocket, health, metrics, and the page."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from mediaserver.server import MediaServer, Readiness
from signaling.websocket import SignalingSocket

_SERVER: web.AppKey[MediaServer] = web.AppKey("server", MediaServer)

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' ws: wss:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)


def create_app(server: MediaServer) -> web.Application:
    """The application around a running `MediaServer`."""
    app = web.Application(client_max_size=16 * 1024, middlewares=[_security_headers])
    app[_SERVER] = server
    app.router.add_get("/ws/inference", _inference)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/config.json", _config)
    app.router.add_get("/", _index)
    app.router.add_static("/", _web_root())
    return app


async def _inference(request: web.Request) -> web.StreamResponse:
    server = request.app[_SERVER]
    with server.admission() as refusal:
        if refusal is not None:
            return web.json_response(
                {"error": refusal.reason, "retry_after_s": refusal.retry_after_s},
                status=503,
                headers={"Retry-After": str(refusal.retry_after_s)},
            )
        socket = SignalingSocket(request, server.settings.liveness_timeout_s)
        await socket.accept()
        await server.connect(socket)
        return socket.response


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def _readyz(request: web.Request) -> web.Response:
    server = request.app[_SERVER]
    refusal = server.refusal()
    ready = server.readiness is Readiness.READY
    body = {
        "ready": ready,
        "state": server.readiness,
        "failure": server.failure,
        "accepting": refusal is None,
        "retry_after_s": refusal.retry_after_s if refusal else None,
    }
    return web.json_response(body, status=200 if ready else 503)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(
        body=request.app[_SERVER].metrics.exposition(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


async def _config(request: web.Request) -> web.Response:
    return web.json_response({"api": None})


async def _index(request: web.Request) -> web.FileResponse:
    return web.FileResponse(_web_root() / "index.html")


@web.middleware
async def _security_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-cache"
    return response


def _web_root() -> Path:
    """Beside this file in an installed wheel, at the top of a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "web"
    return installed if installed.is_dir() else here.parent / "web"
