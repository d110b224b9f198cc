"""The server without its HTTP surface: what is shared by all connections, and its life from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from inference.engine import Engine
from inference.scheduler import Scheduler
from mediaserver.connection import Connection
from mediaserver.event_loop import watch_lag
from mediaserver.metrics import Metrics
from mediaserver.session import Inference
from mediaserver.sessions import Sessions
from mediaserver.settings import Settings
from signaling.messages import EndReason
from signaling.websocket import SignalingSocket

_DRAIN_TIMEOUT_S = 3.0
_FPS_WINDOW_S = 5.0

logger = logging.getLogger(__name__)

LoadEngine: TypeAlias = Callable[[Metrics], Awaitable[Engine]]


class Readiness(StrEnum):
    """Whether new connections are taken."""

    LOADING = "loading"
    """Models are being loaded and tried."""
    READY = "ready"
    FAILED = "failed"
    """The models cannot be used; `MediaServer.failure` says why."""
    DRAINING = "draining"
    """The server is stopping, or was told to take no new sessions for a while."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is not taken now, and when to try again."""

    reason: str
    retry_after_s: int


class MediaServer:
    """All that connections share. Use `running`; then `connect` serves one socket to its end."""

    def __init__(self, settings: Settings, load_engine: LoadEngine) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._models = Readiness.LOADING
        self._stopping = False
        self._paused_until = 0.0
        self.failure: str | None = None
        self._load_engine = load_engine
        self._inference: Inference | None = None
        self.failed = asyncio.Event()
        self._places_taken = 0
        self._connections: dict[Connection, asyncio.Future[None]] = {}
        self._sessions = Sessions(settings.resume_window_s, max_resumable=settings.max_sessions)
        self.metrics.sessions_active.set_function(lambda: len(self._connections))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[MediaServer]:
        """Loads the models in the background; on leaving ends every connection and frees everything."""
        with (
            ThreadPoolExecutor(_threads(), thread_name_prefix="frames") as frame_executor,
            ThreadPoolExecutor(_threads(), thread_name_prefix="vision") as vision_executor,
        ):
            background = [
                asyncio.create_task(self._load(frame_executor, vision_executor)),
                asyncio.create_task(watch_lag(self.metrics.event_loop_lag.observe)),
                asyncio.create_task(self._measure_fps()),
            ]
            try:
                yield self
            finally:
                await self.drain()
                for task in background:
                    task.cancel()
                await asyncio.wait(background)
                if self._inference is not None:
                    await self._inference.engine.close()

    @property
    def readiness(self) -> Readiness:
        """Whether new connections are taken, were there a place for them."""
        if self._stopping or time.monotonic() < self._paused_until:
            return Readiness.DRAINING
        return self._models

    @property
    def trouble(self) -> str | None:
        """Why nothing can be inferred now, in words: the models cannot be used, or the engine is away."""
        return self.failure or (self._inference.engine.trouble if self._inference else None)

    @property
    def sessions(self) -> int:
        """Sessions that live: with a client, or waiting for a lost one to come back."""
        return len(self._sessions)

    def pause(self, seconds: float, *, if_idle: bool) -> bool:
        """Takes no new connections for so long; sessions that live go on. A later call replaces the time.

        With ``if_idle`` it does nothing while a session lives, and returns false. Question and act are one
        step of the event loop: no client slips in between.
        """
        if if_idle and self.sessions:
            return False
        self._paused_until = time.monotonic() + seconds
        for connection in self._connections:
            if not connection.welcomed:
                connection.end(EndReason.SERVER_SHUTDOWN)
        return True

    def refusal(self) -> Refusal | None:
        """Why a new connection cannot be taken now, or ``None``."""
        if self.readiness is not Readiness.READY:
            pause_s = self._paused_until - time.monotonic()
            return Refusal(self.readiness, retry_after_s=math.ceil(pause_s) if pause_s > 0 else 2)
        if self._places_taken >= self.settings.max_sessions:
            return Refusal("full", retry_after_s=10)
        return None

    @contextlib.contextmanager
    def admission(self) -> Iterator[Refusal | None]:
        """Holds a place for one connection during the ``with`` block, or says why there is none."""
        refusal = self.refusal()
        if refusal is not None:
            self.metrics.sessions_refused.labels(refusal.reason).inc()
            yield refusal
            return
        self._places_taken += 1
        try:
            yield None
        finally:
            self._places_taken -= 1

    async def connect(self, socket: SignalingSocket) -> None:
        """Serves one client to its end."""
        assert self._inference is not None, "refusal() keeps clients out until the engine is loaded"
        connection = Connection(socket, self._inference, self._sessions)
        loop = asyncio.get_running_loop()
        ended = self._connections[connection] = loop.create_future()
        if self.readiness is not Readiness.READY:
            # No longer: that changed while the socket was being accepted. The connection starts, then ends.
            loop.call_soon(connection.end, EndReason.SERVER_SHUTDOWN)
        try:
            await connection.run()
        finally:
            del self._connections[connection]
            ended.set_result(None)

    async def drain(self) -> None:
        """Takes no more connections, and ends those that are open with ``closing``. Idempotent."""
        self._stopping = True
        for connection in self._connections:
            connection.end(EndReason.SERVER_SHUTDOWN)
        if self._connections:
            await asyncio.wait(list(self._connections.values()), timeout=_DRAIN_TIMEOUT_S)
        self._sessions.close()

    async def _load(self, frame_executor: Executor, vision_executor: Executor) -> None:
        """Opens the engine and waits until it can run models, so that ready means ready."""
        try:
            engine = await self._load_engine(self.metrics)
            scheduler = Scheduler(self.settings.max_in_flight)
            self.metrics.frames_in_flight.set_function(lambda: scheduler.in_flight)
            self._inference = Inference(
                engine, scheduler, frame_executor, vision_executor, self.metrics, self.settings
            )
            await engine.ready()
        except Exception as exc:  # noqa: BLE001 - whatever it was, the server must say so and not serve
            self._models = Readiness.FAILED
            self.failure = str(exc)
            self.failed.set()
            logger.error("the models cannot be used: %s", exc)
            return
        self._models = Readiness.READY
        logger.info("ready: %s", ", ".join(f"{task}={info.name}" for task, info in engine.models.items()))

    async def _measure_fps(self) -> None:
        while True:
            before = self.metrics.frames_inferred_so_far()
            await asyncio.sleep(_FPS_WINDOW_S)
            self.metrics.pipeline_fps.set((self.metrics.frames_inferred_so_far() - before) / _FPS_WINDOW_S)


def _threads() -> int:
    """What runs on them releases the GIL; with two at least, a long job does not stop the short ones."""
    return max(2, len(os.sched_getaffinity(0)))
