"""A real server on a free port of this machine, inside the test's own event loop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from inference.engines.contract import Engine, EngineObserver
from mediaserver.models.local_triton import RunningTriton
from mediaserver.server import scoreboard
from mediaserver.server.core import MediaServer
from mediaserver.server.run import engine_loader, listening
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from tests.support.server_address import ServerAddress
from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class LiveServer(ServerAddress):
    server: MediaServer
    http_url: str

    def metric(self, name: str, **labels: str) -> float:
        return self.server.metrics.registry.get_sample_value(f"mediaserver_{name}", labels) or 0.0

    def ended(self, reason: str) -> float:
        return self.metric("connections_ended_total", reason=reason)


def served_by(triton: RunningTriton) -> dict[str, Any]:
    """Settings of a server whose models ``triton`` runs."""
    return {"engine": "triton", "triton_urls": (triton.grpc,), "triton_http_port": triton.http_port}


@contextlib.asynccontextmanager
async def live_server(
    models: Path,
    wrap: Callable[[Engine], Engine] = lambda engine: engine,
    *,
    wait_ready: bool = True,
    **settings: Any,
) -> AsyncIterator[LiveServer]:
    """Ready when entered. ``wrap`` may put something around the engine; ``settings`` as in `Settings`."""
    used = msgspec.structs.replace(Settings(port=0, models=models), **settings)
    load = engine_loader(used)

    async def load_engine(observer: EngineObserver) -> Engine:
        return wrap(await load(observer))

    server = MediaServer(used, load_engine, Metrics(), scoreboard.alone(used.max_sessions).rows[0])
    async with server.running(), listening(server) as (url, _):
        if wait_ready:
            await eventually(lambda: server.refusal() is None, 30)
        yield LiveServer(server, url)


@contextlib.asynccontextmanager
async def raw_socket(
    server: ServerAddress, *, node: str | None = None, autoping: bool = True
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket to the server, without our client around it; ``node`` is the one that is asked for.
    ``autoping`` answers pings that are read."""
    asked = {} if node is None else {"node": node}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(server.socket_url, params=asked, autoping=autoping) as socket,
    ):
        yield socket
