"""``mediaserver serve``: the life cycle of the server, in one process or in several workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import ifaddr
import msgspec
import uvloop
from aiohttp import web
from prometheus_client.multiprocess import mark_process_dead

from inference.engines.contract import Engine, EngineObserver
from mediaserver.errors import AddressError, SettingsError
from mediaserver.models.files import PULL_DEFAULTS, files_in_use, origin, synthetic_words
from mediaserver.packages import OWN_ENVIRONMENT, conflict
from mediaserver.paths import temporary_folder
from mediaserver.server import scoreboard
from mediaserver.server.core import LoadEngine, MediaServer, Readiness
from mediaserver.server.freed_memory import bound_what_malloc_keeps
from mediaserver.server.http import create_app
from mediaserver.server.http_answers import security_headers
from mediaserver.server.http_connection import connections
from mediaserver.server.scoreboard import Row
from mediaserver.server.shared_port import Passages, SharedPort, passages
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

    Raises `AddressError`, `ModelError`, `OutputError` if the workers' metrics cannot be written, and
    `SettingsError` if the interfaces cannot be used.
    """
    _check_interfaces(settings)
    logs.configure(settings.log_level, settings.log_format)
    if (words := conflict()) is not None:
        logger.warning("%s: %s", words, OWN_ENVIRONMENT)
    _allow_descriptors()
    bound_what_malloc_keeps()
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
    """Raises the soft limit of file descriptors, often 1024, to the hard limit. A session takes about ten."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def engine_loader(settings: Settings) -> LoadEngine:
    """Returns a function that opens the engine. Raises `ModelError` if its models are missing."""
    if settings.engine == "triton":
        from inference.engines.triton import TritonEngine  # noqa: PLC0415 - gRPC takes memory that others do not need

        async def connect(observer: EngineObserver) -> Engine:
            deadline_s = settings.inference_deadline_ms / 1000
            return await TritonEngine.open(
                settings.triton_urls,
                deadline_s=deadline_s,
                http_port=settings.triton_http_port,
                observer=observer,
            )

        return connect
    # ONNX Runtime starts a thread on import, which the parent of workers must not have, as it forks.
    from inference.engines.embedded import EmbeddedEngine  # noqa: PLC0415
    from mediaserver.server.pose_method import settle_pose_method  # noqa: PLC0415

    models = files_in_use(settings)
    for task, path in models.items():
        logger.info("%s: %s (%s)", task, path, origin(path, task))
    if (words := synthetic_words(models)) is not None:
        logger.warning("%s; for these: %s", words, PULL_DEFAULTS)
    threads = settings.inference_threads or max(1, len(os.sched_getaffinity(0)) // settings.workers)

    async def load(observer: EngineObserver) -> Engine:
        engine = await EmbeddedEngine.open(models, threads=threads, observer=observer)
        try:
            await settle_pose_method(engine)
        except BaseException:
            await engine.close()
            raise
        return engine

    return load


def _serve_by_workers(settings: Settings, notifier: Notifier) -> int:
    """Runs several workers. Faults of the settings are found before a worker starts."""
    if settings.engine == "embedded":
        files_in_use(settings)
    with (
        _held_port(settings.host, settings.port) as port,
        scoreboard.shared(settings.workers, settings.max_sessions) as board,
        passages(settings.workers) as ways,
        temporary_folder("metrics") as metrics_folder,
    ):
        settings = msgspec.structs.replace(settings, port=port)

        def work(row: Row) -> int:
            logs.configure(settings.log_level, settings.log_format, row.worker)
            keep_in_files(metrics_folder, row.worker)
            server = MediaServer(settings, engine_loader(settings), Metrics(metrics_folder), row)
            return uvloop.run(_serve(server, Notifier(), ways))

        def ended(worker: int) -> None:
            mark_process_dead(worker, str(metrics_folder))  # type: ignore[no-untyped-call]

        return Supervisor(board, work, ended, notifier, settings.drain_timeout_s).run()


@contextlib.contextmanager
def _held_port(host: str, port: int) -> Iterator[int]:
    """Reserves the port for the workers in the block, and yields its number.

    The sockets are bound but do not listen, so the kernel gives connections only to the workers' sockets.
    """
    with contextlib.ExitStack() as sockets:
        try:
            for family, kind, _, _, address in socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                where = (address[0], port, *address[2:])
                # SO_REUSEPORT would hide that another server of the same user has the port.
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
    """Makes the error. ``UnicodeError`` stands for a host name with an empty or too long part."""
    return AddressError(f"cannot listen on {host}:{port}: {getattr(exc, 'strerror', None) or exc}")


async def _serve(server: MediaServer, notifier: Notifier, ways: Passages | None = None) -> int:
    stop = StopRequest()
    telling = asyncio.create_task(_tell_systemd(server, notifier))
    try:
        async with server.running():
            if not server.row.opens_early:
                await _first(stop.asked.wait(), server.settled())
            if not stop.asked.is_set() and server.readiness is not Readiness.FAILED:
                async with listening(server, ways) as (url, stop_listening):
                    logger.info("listening on %s", url)
                    await _first(stop.asked.wait(), server.failed())
                    if ways is None and stop.asked.is_set():
                        _begin_end(server)  # for workers the supervisor does this
                    await _first(stop.now.wait(), server.wind_down())
                    logger.info("stopping")
                    telling.cancel()
                    notifier.stopping()
                    stop_listening()
                    await server.drain()
    finally:
        telling.cancel()
        await asyncio.wait([telling])
    return 0 if stop.asked.is_set() else 1


def _begin_end(server: MediaServer) -> None:
    drain_s = server.settings.drain_timeout_s
    if drain_s > 0:
        server.row.board.end_by(time.monotonic() + drain_s)


@contextlib.asynccontextmanager
async def listening(
    server: MediaServer, ways: Passages | None = None
) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """Serves HTTP for ``server``. Raises `AddressError`.

    Yields the URL with the actual port, and a function that stops accepting connections while open
    connections go on. ``ways`` lead to the other workers, if there are several.
    """
    settings = server.settings
    runner = web.AppRunner(create_app(server), shutdown_timeout=_HANDLER_SHUTDOWN_S)
    await runner.setup()
    assert runner.server is not None
    headers = security_headers(settings.lifecycle_api)
    listener: asyncio.Server | SharedPort
    try:
        try:
            if ways is None:
                listener = await asyncio.get_running_loop().create_server(
                    connections(runner.server, headers), settings.host, settings.port
                )
            else:
                connection = connections(runner.server, headers, server.row.end_connection)
                listener = SharedPort(server.row, ways, connection)
                await listener.listen(settings.host, settings.port)
        except (OSError, UnicodeError) as exc:
            raise _cannot_listen(settings.host, settings.port, exc) from exc
        try:
            server.row.listens()
            host, port = listener.sockets[0].getsockname()[:2]
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}/", listener.close
        finally:
            listener.close()
    finally:
        await runner.cleanup()


class StopRequest:
    """Requests to stop: ``asked`` by the first signal, ``now`` by SIGINT or a second signal."""

    def __init__(self) -> None:
        self.asked, self.now = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._take, number)

    def _take(self, number: signal.Signals) -> None:
        if self.asked.is_set() or number == signal.SIGINT:
            self.now.set()
        self.asked.set()


async def _first(*events: Coroutine[Any, Any, object]) -> None:
    """Waits for the first of the events, and cancels the others."""
    waiting = [asyncio.create_task(event) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def _tell_systemd(server: MediaServer, notifier: Notifier) -> None:
    """Notifies systemd from the event loop. If it hangs, the beats stop, and systemd's watchdog acts."""
    while True:
        status = f"{server.trouble or server.readiness}, {server.sessions} sessions"
        notifier.beat(ready=server.row.ready, status=status)
        await asyncio.sleep(notifier.interval_s)
