"""The server without its HTTP surface: what is shared by all connections, and its life from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from inference.engines.charged import RunCosts
from inference.engines.contract import Engine, EngineObserver
from inference.fair_threads import FairThreads
from inference.scheduler import Scheduler
from mediaserver.server.bounded_pool import BoundedPool
from mediaserver.server.loop_lag import watch_lag
from mediaserver.server.memory import Memory
from mediaserver.server.scoreboard import Row
from mediaserver.session.connection import Connection
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.session import Inference
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from signaling.messages import EndReason
from signaling.websocket import SignalingSocket

_DRAIN_TIMEOUT_S = 3.0
_SAMPLE_S = 5.0
_MAX_GREETING = 256
"""Connections that have not said hello yet, in one process. Each takes some kilobytes, for 5 s at most."""
_MAX_GREETING_OF_ONE = 64
"""The same, from one address."""

logger = logging.getLogger(__name__)

LoadEngine: TypeAlias = Callable[[EngineObserver], Awaitable[Engine]]


class Readiness(StrEnum):
    """Whether new connections are taken."""

    LOADING = "loading"
    """Models are being loaded and tried."""
    READY = "ready"
    FAILED = "failed"
    """The models cannot be used; `MediaServer.trouble` says why."""
    DRAINING = "draining"
    """The server is stopping, or was told to take no new sessions for a while."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is not taken now, and when to try again."""

    reason: str
    retry_after_s: int


_FULL = Refusal("full", retry_after_s=10)
_SHORT_OF_MEMORY = Refusal("memory", retry_after_s=10)


class MediaServer:
    """All that a process's connections share. Use `running`; then `connect` serves one socket to its end.

    ``row`` is the process's own in the scoreboard of all workers: sessions are counted, limited and paused in
    all of them.
    """

    def __init__(self, settings: Settings, load_engine: LoadEngine, metrics: Metrics, row: Row) -> None:
        self.settings = settings
        self.metrics = metrics
        self.row = row
        self._load_engine = load_engine
        self._inference: Inference | None = None
        self._state = Readiness.LOADING
        self._state_changed = asyncio.Condition()
        self._failure: str | None = None
        self._connections: dict[Connection, asyncio.Future[None]] = {}
        self._greeting = BoundedPool[Connection](_MAX_GREETING, _MAX_GREETING_OF_ONE)
        self._registry = SessionRegistry(settings, row, metrics)
        self._memory = Memory.of_this_process()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[MediaServer]:
        """Loads the models in the background; on leaving ends every connection and frees everything."""
        with (
            FairThreads(_threads(), "decode") as decode_threads,
            FairThreads(_threads(), "frames") as frame_threads,
            FairThreads(_threads(), "vision") as vision_threads,
        ):
            background = [
                asyncio.create_task(self._load(decode_threads, frame_threads, vision_threads)),
                asyncio.create_task(watch_lag(self._take_lag)),
                asyncio.create_task(self._sample()),
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
        return Readiness.DRAINING if self.row.pause_left_s > 0 else self._state

    async def settled(self) -> Readiness:
        """Waits until the models are loaded, cannot be used, or are not waited for any more."""
        return await self._until(lambda: self._state is not Readiness.LOADING)

    async def failed(self) -> Readiness:
        """Waits until the models cannot be used."""
        return await self._until(lambda: self._state is Readiness.FAILED)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be inferred now, in words: the models cannot be used, or the engine is away."""
        return self._failure or (self._inference.engine.trouble if self._inference else None)

    @property
    def able(self) -> bool:
        """Whether new connections are taken, were there a place, and their frames would be inferred."""
        return self.readiness is Readiness.READY and self.trouble is None

    @property
    def sessions(self) -> int:
        """Sessions that live in all workers: with a client, or waiting for a lost one to come back."""
        return self.row.board.sessions

    def pause(self, seconds: float, *, if_idle: bool) -> bool:
        """Takes no new connections for so long; sessions that live go on. As `Row.pause`, for all workers.

        A connection that is open but has not said ``hello`` is sent away when it does.
        """
        return self.row.pause(seconds, if_idle=if_idle)

    def refusal(self) -> Refusal | None:
        """Why a new connection cannot be taken now, or ``None``."""
        if self.readiness is not Readiness.READY:
            pause_s = self.row.pause_left_s
            return Refusal(self.readiness, retry_after_s=math.ceil(pause_s) if pause_s > 0 else 1)
        if self.row.board.places_taken >= self.settings.max_sessions:
            return _FULL
        if self._memory.is_short(time.monotonic()):
            return _SHORT_OF_MEMORY
        return None

    async def connect(self, socket: SignalingSocket, address: str) -> None:
        """Serves one client, at ``address``, to its end. It gets its place when it has said ``hello``. Where
        too many have not said it yet, whoever has been silent longest leaves.

        Raises `RuntimeError` before the engine is there, when `refusal` keeps clients out.
        """
        if self._inference is None:
            raise RuntimeError("the engine is not open yet")
        connection = Connection(
            socket, self._inference, self._registry, lambda: self._greeting.discard(connection)
        )
        silent = self._greeting.add(connection, address)
        if silent is not None:
            silent.end(EndReason.HELLO_TIMEOUT)
        ended = self._connections[connection] = asyncio.get_running_loop().create_future()
        if self.readiness is not Readiness.READY:
            connection.end(EndReason.SERVER_SHUTDOWN)  # that changed while the socket was being accepted
        try:
            with self.metrics.connection():
                await connection.run()
        finally:
            self._greeting.discard(connection)
            del self._connections[connection]
            ended.set_result(None)

    async def drain(self) -> None:
        """Takes no more connections, and ends those that are open with ``closing``. Idempotent."""
        await self._change(Readiness.DRAINING)
        for connection in self._connections:
            connection.end(EndReason.SERVER_SHUTDOWN)
        if self._connections:
            await asyncio.wait(list(self._connections.values()), timeout=_DRAIN_TIMEOUT_S)
        self._registry.close()

    async def _change(self, state: Readiness) -> None:
        """Nothing comes after draining."""
        async with self._state_changed:
            if self._state is not Readiness.DRAINING:
                self._state = state
                self.row.ready = state is Readiness.READY
                self._state_changed.notify_all()

    async def _until(self, reached: Callable[[], bool]) -> Readiness:
        async with self._state_changed:
            await self._state_changed.wait_for(reached)
        return self._state

    async def _load(
        self, decode_threads: FairThreads, frame_threads: FairThreads, vision_threads: FairThreads
    ) -> None:
        """Opens the engine and waits until it can run models, so that ready means ready."""
        try:
            costs = RunCosts(self.metrics)
            engine = await self._load_engine(costs)
            scheduler = Scheduler(lambda: self.settings.max_in_flight or engine.in_flight.frames)
            self._inference = Inference(
                engine,
                costs,
                scheduler,
                decode_threads,
                frame_threads,
                vision_threads,
                self.metrics,
                self.settings,
            )
            await engine.ready()
        except Exception as exc:  # noqa: BLE001 - whatever it was, the server must say so and not serve
            self._failure = str(exc)
            logger.error("the models cannot be used: %s", exc)
            await self._change(Readiness.FAILED)
            return
        await self._change(Readiness.READY)
        logger.info("ready: %s", ", ".join(f"{task}={info.name}" for task, info in engine.models.items()))

    def _take_lag(self, seconds: float) -> None:
        self.metrics.event_loop_lag.observe(seconds)
        self.row.beat()

    async def _sample(self) -> None:
        """Keeps the metrics of what is, beside those of what happens."""
        while True:
            self.metrics.ready.set(self.able)
            frames, cpu_s = self.metrics.frames_inferred_so_far(), time.process_time()
            await asyncio.sleep(_SAMPLE_S)
            self.metrics.pipeline_fps.set((self.metrics.frames_inferred_so_far() - frames) / _SAMPLE_S)
            self.metrics.cpu_seconds.inc(time.process_time() - cpu_s)


def _threads() -> int:
    """What runs on them releases the GIL; with two at least, a long job does not stop the short ones."""
    return max(2, len(os.sched_getaffinity(0)))
