"""``mediaserver serve``: one process from start to SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import ifaddr
import uvloop
from aiohttp import web

from inference.catalogue import CatalogueError, find_models
from inference.embedded import EmbeddedEngine
from inference.engine import Engine
from mediaserver.app import create_app
from mediaserver.ice import listed_addresses
from mediaserver.metrics import Metrics
from mediaserver.server import LoadEngine, MediaServer
from mediaserver.settings import Settings, SettingsError

_HANDLER_SHUTDOWN_S = 0.5

logger = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Runs the server until SIGTERM or SIGINT; returns the exit status.

    Raises `SettingsError` when the address, the interfaces or the models cannot be used.
    """
    _check_interfaces(settings)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for noisy in ("aioice", "aiortc"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.root.level))
    return uvloop.run(_serve(settings))


def _check_interfaces(settings: Settings) -> None:
    adapters = list(ifaddr.get_adapters())
    if settings.ice_interfaces and not listed_addresses(settings.ice_interfaces, adapters):
        given = ",".join(settings.ice_interfaces)
        present = ", ".join(adapter.name for adapter in adapters)
        raise SettingsError(
            f"setting 'ice_interfaces' is {given!r}, which names no address of this machine; it has {present}"
        )


def engine_loader(settings: Settings) -> LoadEngine:
    """What opens the engine that the settings name. Raises `SettingsError` where its models are not there."""
    if settings.engine == "triton":
        from inference.triton import TritonEngine  # noqa: PLC0415 - gRPC takes memory that others do not need

        async def connect(metrics: Metrics) -> Engine:
            deadline_s = settings.inference_deadline_ms / 1000
            return await TritonEngine.open(settings.triton_urls, deadline_s=deadline_s, observer=metrics)

        return connect
    try:
        models = find_models(settings.models, detect=settings.detect_model, pose=settings.pose_model)
    except CatalogueError as exc:
        raise SettingsError(str(exc)) from exc

    async def load(metrics: Metrics) -> Engine:
        return await EmbeddedEngine.open(models, threads=settings.inference_threads, observer=metrics)

    return load


async def _serve(settings: Settings) -> int:
    server = MediaServer(settings, engine_loader(settings))
    async with server.running(), listening(server) as (url, stop_listening):
        logger.info("listening on %s", url)
        stopped = await _stop_requested(server)
        logger.info("stopping")
        await stop_listening()
        await server.drain()
    return 0 if stopped else 1


@contextlib.asynccontextmanager
async def listening(server: MediaServer) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Serves HTTP for ``server``: yields its URL, with the port that it really has, and what ends
    taking connections while those that are open go on.

    Raises `SettingsError` when the address cannot be used.
    """
    settings = server.settings
    runner = web.AppRunner(create_app(server), access_log=None, shutdown_timeout=_HANDLER_SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as exc:
            raise SettingsError(
                f"cannot listen on {settings.host}:{settings.port}: {exc.strerror or exc}"
            ) from exc
        host, port = runner.addresses[0][:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}/", site.stop
    finally:
        await runner.cleanup()


async def _stop_requested(server: MediaServer) -> bool:
    """Waits for a signal (true), or for the models to fail (false)."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    waiting = [asyncio.create_task(event.wait()) for event in (stop, server.failed)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return stop.is_set()
