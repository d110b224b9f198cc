"""``mediaserver serve``: from start to SIGTERM, in one process or in several workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import ifaddr
import msgspec
import uvloop
from aiohttp import web
from prometheus_client.multiprocess import mark_process_dead

from inference.engines.contract import Engine, EngineObserver
from mediaserver.errors import AddressError, SettingsError
from mediaserver.models.files import files_in_use, origin
from mediaserver.paths import temporary_folder
from mediaserver.server import scoreboard
from mediaserver.server.core import LoadEngine, MediaServer, Readiness
from mediaserver.server.http import create_app
from mediaserver.server.http_answers import security_headers
from mediaserver.server.http_connection import connections
from mediaserver.server.scoreboard import Row
from mediaserver.server.supervisor import Supervisor
from mediaserver.server.systemd import Notifier
from mediaserver.settings.model import Settings
from mediaserver.telemetry import logs
from mediaserver.telemetry.metrics import Metrics, keep_in_files
from mediaserver.webrtc.ice_addresses import listed_addresses

_HANDLER_SHUTDOWN_S = 0.5

logger = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Runs the server until SIGTERM or SIGINT; returns the exit status.

    Raises `AddressError`, `ModelError`, `OutputError` where the workers' metrics cannot be written, and
    `SettingsError` when the interfaces cannot be used.
    """
    _check_interfaces(settings)
    logs.configure(settings.log_level, settings.log_format)
    _allow_descriptors()
    notifier = Notifier.from_environment(os.environ)
    if settings.workers > 1:
        return _serve_by_workers(settings, notifier)
    server = MediaServer(
        settings, engine_loader(settings), Metrics(), scoreboard.alone(settings.max_sessions).rows[0]
    )
    return uvloop.run(_serve(server, notifier))


def _check_interfaces(settings: Settings) -> None:
    adapters = list(ifaddr.get_adapters())
    if settings.ice_interfaces and not listed_addresses(settings.ice_interfaces, adapters):
        given = ",".join(settings.ice_interfaces)
        present = ", ".join(adapter.name for adapter in adapters)
        raise SettingsError(
            f"setting 'ice_interfaces' is {given!r}, which names no address of this machine; it has {present}"
        )


def _allow_descriptors() -> None:
    """Shells often give 1024 descriptors of many more that they may: a session takes about ten."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def engine_loader(settings: Settings) -> LoadEngine:
    """What opens the engine that the settings name. Raises `ModelError` where its models are not there."""
    if settings.engine == "triton":
        from inference.engines.triton import TritonEngine  # noqa: PLC0415 - gRPC takes memory that others do not need

        async def connect(observer: EngineObserver) -> Engine:
            deadline_s = settings.inference_deadline_ms / 1000
            return await TritonEngine.open(settings.triton_urls, deadline_s=deadline_s, observer=observer)

        return connect
    # ONNX Runtime starts a thread when it is imported, which the parent of workers, who forks, must not have.
    from inference.engines.embedded import EmbeddedEngine  # noqa: PLC0415

    models = files_in_use(settings)
    for task, path in models.items():
        logger.info("%s: %s (%s)", task, path, origin(path, task))
    threads = settings.inference_threads or max(1, len(os.sched_getaffinity(0)) // settings.workers)

    async def load(observer: EngineObserver) -> Engine:
        return await EmbeddedEngine.open(models, threads=threads, observer=observer)

    return load


def _serve_by_workers(settings: Settings, notifier: Notifier) -> int:
    """What is wrong with the settings is found here, before there is a worker."""
    if settings.engine == "embedded":
        files_in_use(settings)
    with (
        _held_port(settings.host, settings.port) as port,
        scoreboard.shared(settings.workers, settings.max_sessions) as board,
        temporary_folder("metrics") as metrics_folder,
    ):
        settings = msgspec.structs.replace(settings, port=port)

        def work(row: Row) -> int:
            logs.configure(settings.log_level, settings.log_format, row.worker)
            keep_in_files(metrics_folder, row.worker)
            server = MediaServer(settings, engine_loader(settings), Metrics(metrics_folder), row)
            return uvloop.run(_serve(server, Notifier()))

        def ended(worker: int) -> None:
            mark_process_dead(worker, str(metrics_folder))  # type: ignore[no-untyped-call]

        return Supervisor(board, work, ended, notifier).run()


@contextlib.contextmanager
def _held_port(host: str, port: int) -> Iterator[int]:
    """The port, free when this is entered and taken by nobody but workers until it is left.

    The sockets are bound and never listen: the kernel gives connections only to those of the workers.
    """
    with contextlib.ExitStack() as sockets:
        try:
            for family, kind, _, _, address in socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                where = (address[0], port, *address[2:])
                # Sharing the port (SO_REUSEPORT) would hide that another server of the same user has it.
                with socket.socket(family, kind) as probe:
                    _bind(probe, where)
                held = sockets.enter_context(socket.socket(family, kind))
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                _bind(held, where)
                port = held.getsockname()[1]
        except (OSError, UnicodeError) as exc:
            raise _cannot_listen(host, port, exc) from exc
        yield port


def _bind(sock: socket.socket, where: tuple[object, ...]) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(where)


def _cannot_listen(host: str, port: int, exc: OSError | UnicodeError) -> AddressError:
    """``UnicodeError``: a host name with a part that is empty or too long for DNS."""
    return AddressError(f"cannot listen on {host}:{port}: {getattr(exc, 'strerror', None) or exc}")


async def _serve(server: MediaServer, notifier: Notifier) -> int:
    stop = _stop_requested()
    telling = asyncio.create_task(_tell_systemd(server, notifier))
    try:
        async with server.running():
            if not server.row.opens_early:
                await _first(stop.wait(), server.settled())
            if not stop.is_set() and server.readiness is not Readiness.FAILED:
                async with listening(server) as (url, stop_listening):
                    logger.info("listening on %s", url)
                    await _first(stop.wait(), server.failed())
                    logger.info("stopping")
                    telling.cancel()
                    notifier.stopping()
                    stop_listening()
                    await server.drain()
    finally:
        telling.cancel()
        await asyncio.wait([telling])
    return 0 if stop.is_set() else 1


@contextlib.asynccontextmanager
async def listening(server: MediaServer) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """Serves HTTP for ``server``: yields its URL, with the port that it really has, and what ends
    taking connections while those that are open go on.

    Raises `AddressError`.
    """
    settings = server.settings
    runner = web.AppRunner(create_app(server), shutdown_timeout=_HANDLER_SHUTDOWN_S)
    await runner.setup()
    assert runner.server is not None
    connection = connections(runner.server, security_headers(settings.lifecycle_api))
    try:
        try:
            listener = await asyncio.get_running_loop().create_server(
                connection, settings.host, settings.port, reuse_port=settings.workers > 1
            )
        except (OSError, UnicodeError) as exc:
            raise _cannot_listen(settings.host, settings.port, exc) from exc
        try:
            host, port = listener.sockets[0].getsockname()[:2]
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}/", listener.close
        finally:
            listener.close()
    finally:
        await runner.cleanup()


def _stop_requested() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _first(*events: Coroutine[Any, Any, object]) -> None:
    """Returns when one of the events has come."""
    waiting = [asyncio.create_task(event) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def _tell_systemd(server: MediaServer, notifier: Notifier) -> None:
    """From the event loop itself: when it stands still, so do the beats, and systemd acts."""
    while True:
        status = f"{server.trouble or server.readiness}, {server.sessions} sessions"
        notifier.beat(ready=server.row.ready, status=status)
        await asyncio.sleep(notifier.interval_s)
