"""The server without HTTP: state shared by all connections, and the life cycle from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import TypeAlias

from inference.engines.charged import RunCosts
from inference.engines.contract import Engine, EngineObserver
from inference.fair_threads import FairThreads
from inference.scheduler import Scheduler
from mediaserver.server.admission import Admission, Refusal, RefusalReason
from mediaserver.server.bounded_pool import BoundedPool
from mediaserver.server.descriptors import shortage_of_descriptors
from mediaserver.server.freed_memory import give_back_memory
from mediaserver.server.load import LOOK_S as MEASURE_S
from mediaserver.server.load import LoadMeter
from mediaserver.server.loop_lag import watch_lag
from mediaserver.server.scoreboard import Row
from mediaserver.session.connection import Connection
from mediaserver.session.continued_connection import ContinuedConnection
from mediaserver.session.load_watch import LOOK_S, LoadWatch
from mediaserver.session.media_link import MediaLink
from mediaserver.session.publication import Publication, PublishRequest
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.session import Inference, Session
from mediaserver.session.shortage import Shortage
from mediaserver.session.socket_connection import SocketConnection
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from signaling.messages import EndReason
from signaling.websocket import SignalingSocket

_DRAIN_TIMEOUT_S = 3.0
_MOVE_INTERVAL_S, _MOVE_ALL_S = 1.0, 60.0
"""Seconds between two clients that are moved to other servers, and at most for all clients."""
_SAMPLE_S = 5.0
_LOOK_S = 0.1
_MAX_GREETING = 256
"""Connections before ``hello`` in one process. Each takes some kilobytes, for 5 s at most."""
_MAX_GREETING_OF_ONE = 64
"""Connections before ``hello`` from one network."""

logger = logging.getLogger(__name__)

LoadEngine: TypeAlias = Callable[[EngineObserver], Awaitable[Engine]]


class Readiness(StrEnum):
    """Whether new connections are accepted."""

    LOADING = "loading"
    """Models are being loaded and tried."""
    READY = "ready"
    FAILED = "failed"
    """The models cannot be used; `MediaServer.trouble` is the reason."""
    DRAINING = "draining"
    """The server is stopping, or new sessions are paused."""


class MediaServer:
    """The state shared by a process's connections. Inside `running`, `connect` serves one socket to its end.

    ``row`` is the process's row in the scoreboard, which counts, limits and pauses the sessions of all
    workers.
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
        self._without_socket: set[asyncio.Task[None]] = set()
        self._publications: dict[str, tuple[Publication, asyncio.Task[None]]] = {}
        self._greeting = BoundedPool[SocketConnection](_MAX_GREETING, _MAX_GREETING_OF_ONE)
        self._registry = SessionRegistry(settings, row, metrics)
        self._load_watch = LoadWatch(self._registry, metrics)
        self._shortage = Shortage(metrics)
        self._admission = Admission(row, self._load_watch, self._shortage, settings.node_start_s)
        self._load_meter = LoadMeter(_processors())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[MediaServer]:
        """Loads the models in the background. On leaving, ends all connections and frees all resources."""
        with (
            FairThreads(_threads(), "decode") as decode_threads,
            FairThreads(_threads(), "frames") as frame_threads,
            FairThreads(_threads(), "vision") as vision_threads,
        ):
            background = [
                asyncio.create_task(self._load(decode_threads, frame_threads, vision_threads)),
                asyncio.create_task(watch_lag(self._take_lag)),
                asyncio.create_task(self._sample()),
                asyncio.create_task(self._measure_load(decode_threads, frame_threads, vision_threads)),
                asyncio.create_task(self._give_back_memory()),
                asyncio.create_task(self._shed_load()),
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
        """Whether new connections are accepted, apart from a lack of places."""
        return Readiness.DRAINING if self._admission.is_draining else self._state

    async def settled(self) -> Readiness:
        """Waits until the models are loaded, cannot be used, or the server drains."""
        return await self._until(lambda: self._state is not Readiness.LOADING)

    async def failed(self) -> Readiness:
        """Waits until the models cannot be used."""
        return await self._until(lambda: self._state is Readiness.FAILED)

    @property
    def trouble(self) -> str | None:
        """The reason why clients cannot be served properly now, as text, or ``None``.

        The models cannot be used, the engine is unavailable, or sockets are exhausted.
        """
        engine = self._inference.engine.trouble if self._inference else None
        return self._failure or engine or self._shortage.words

    @property
    def synthetic(self) -> bool:
        """Whether a loaded model was trained on drawings only."""
        models = self._inference.engine.models.values() if self._inference else ()
        return any(model.synthetic for model in models)

    @property
    def able(self) -> bool:
        """Whether the server can serve new sessions, apart from a lack of places.

        After the start this requires that all workers have been ready at once.
        """
        return self.readiness is Readiness.READY and self.row.board.is_complete and self.trouble is None

    @property
    def sessions(self) -> int:
        """Number of sessions in all workers: with a client, or waiting for it."""
        return self.row.board.sessions

    def pause(self, seconds: float, *, if_idle: bool) -> bool:
        """Refuses new connections for ``seconds``; existing sessions go on. As `Row.pause`, for all workers.

        A connection that is open before ``hello`` is refused at its ``hello``.
        """
        return self.row.pause(seconds, if_idle=if_idle)

    def refusal(self, *, comes_back: bool = False) -> Refusal | None:
        """Returns why a new connection is refused now, or ``None``.

        ``comes_back``: the client claims a session here. If it has none, it is refused after its ``hello``.
        """
        if self._state is not Readiness.READY:
            return Refusal(RefusalReason(self._state), retry_after_s=1, end=EndReason.SERVER_SHUTDOWN)
        return self._admission.refusal(comes_back=comes_back)

    async def connect(self, socket: SignalingSocket, address: str, *, comes_back: bool = False) -> None:
        """Serves one client at ``address`` to its end. ``comes_back`` is as in `refusal`.

        The client takes its place at its ``hello``. If too many connections wait for ``hello``, the oldest of
        a network is closed. Raises `RuntimeError` before the engine is open, while `refusal` refuses clients.
        """
        closed = self.refusal() if comes_back else None
        connection = SocketConnection(
            socket,
            self._opened(),
            self._registry,
            lambda: self._greeting.discard(connection),
            closed=None if closed is None else closed.end,
        )
        silent = self._greeting.add(connection, address)
        if silent is not None:
            silent.end(EndReason.HELLO_TIMEOUT)
        try:
            await self._run(connection, comes_back=comes_back)
        finally:
            self._greeting.discard(connection)
        if (continued := connection.continued()) is not None:
            task = asyncio.create_task(self._go_on(*continued), name="without-socket")
            self._without_socket.add(task)
            task.add_done_callback(self._without_socket.discard)

    async def _go_on(self, session: Session, media: MediaLink) -> None:
        """Sends results over the data channel while the client has no socket and its media arrives."""
        while self._registry.waits(session) and media.is_open:
            if media.is_heard(time.monotonic()) and self.refusal(comes_back=True) is None:
                connection = ContinuedConnection(session, self._opened(), self._registry)
                await self._run(connection, comes_back=True)
            await asyncio.sleep(_LOOK_S)

    def publish(self, request: PublishRequest) -> Publication:
        """Begins to serve a WHIP publisher, in a task of its own. Raises as `connect`."""
        publication = Publication(request, self._opened(), self._registry)
        task = asyncio.create_task(self._run(publication), name="publication")
        self._publications[publication.resource] = publication, task
        task.add_done_callback(lambda _: self._publications.pop(publication.resource))
        return publication

    def publication(self, resource: str) -> Publication | None:
        """Returns the publication with this random name, while it is served."""
        found = self._publications.get(resource)
        return None if found is None else found[0]

    async def unpublish(self, publication: Publication) -> None:
        """Ends a publication on its publisher's request; returns when its resources are released."""
        _, task = self._publications[publication.resource]
        publication.end(EndReason.BYE)
        await asyncio.wait([task])

    def _opened(self) -> Inference:
        if self._inference is None:
            raise RuntimeError("the engine is not open yet")
        return self._inference

    async def _run(self, connection: Connection, *, comes_back: bool = False) -> None:
        ended = self._connections[connection] = asyncio.get_running_loop().create_future()
        if self._state is not Readiness.READY or (self._admission.is_draining and not comes_back):
            connection.end(EndReason.SERVER_SHUTDOWN)  # the state changed during the upgrade
        try:
            with self.metrics.connection():
                await connection.run()
        finally:
            del self._connections[connection]
            ended.set_result(None)

    async def wind_down(self) -> None:
        """Waits for the end of this process's sessions, if the server is ending (`Scoreboard.end_by`).

        At the deadline it asks the remaining clients to move to another server, and waits for them.
        """
        ends_at = self.row.board.ends_at
        if ends_at is None:
            return
        logger.info(
            "draining: %d sessions go on for %.0f s at most", len(self._registry), ends_at - time.monotonic()
        )
        while len(self._registry) and time.monotonic() < ends_at:  # noqa: ASYNC110 - of a deadline, too
            await asyncio.sleep(_LOOK_S)
        pause_s = min(_MOVE_INTERVAL_S, _MOVE_ALL_S / max(1, len(self._connections)))
        async with asyncio.TaskGroup() as moves:
            for connection, ended in list(self._connections.items()):
                if not ended.done():
                    moves.create_task(_move(connection, ended))
                    await asyncio.sleep(pause_s)

    async def drain(self) -> None:
        """Refuses new connections, and ends open connections with ``closing``. Idempotent."""
        await self._change(Readiness.DRAINING)
        for connection in self._connections:
            connection.end(EndReason.SERVER_SHUTDOWN)
        if self._connections:
            await asyncio.wait(list(self._connections.values()), timeout=_DRAIN_TIMEOUT_S)
        for task in self._without_socket:
            task.cancel()
        if self._without_socket:
            await asyncio.wait(self._without_socket)
        await self._registry.close()

    async def _change(self, state: Readiness) -> None:
        """Changes the state. DRAINING is final."""
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
                self._shortage,
            )
            await engine.ready()
        except Exception as exc:  # noqa: BLE001 - any error must be reported, and ends the attempt
            self._failure = str(exc)
            logger.error("the models cannot be used: %s", exc)
            await self._change(Readiness.FAILED)
            return
        await self._change(Readiness.READY)
        logger.info("ready: %s", ", ".join(f"{task}={info.name}" for task, info in engine.models.items()))

    async def _shed_load(self) -> None:
        """Sheds load. While models cannot run, results are no measure of the load, and nothing changes."""
        await self.settled()
        while True:
            await asyncio.sleep(LOOK_S)
            if self.trouble is None:
                self._load_watch.look(time.monotonic())

    async def _give_back_memory(self) -> None:
        await self.settled()
        await give_back_memory()

    async def _measure_load(self, *threads: FairThreads) -> None:
        """Measures this worker's part of the load, and updates the metrics of the whole."""
        while True:
            await asyncio.sleep(MEASURE_S)
            self._load_meter.look(time.monotonic(), time.thread_time(), sum(each.used_s for each in threads))
            own = self._load_meter.load
            # Without models no frames are delivered.
            frame_rate = 1.0 if self.trouble else self._load_watch.load
            self.row.tell_load(own.processor, own.event_loop, frame_rate)
            self._admission.look(own.event_loop)
            for part, load in self.row.board.load.items():
                self.metrics.load_part.labels(part).set(load)
            self.metrics.load.set(self.load)
            if (ends_at := self.row.board.ends_at) is not None:
                self.metrics.drain_deadline.set(time.time() + ends_at - time.monotonic())

    @property
    def load(self) -> float:
        """The load of all workers together: 1 if there is no room for another session."""
        return max(self.row.board.load.values())

    def _take_lag(self, seconds: float) -> None:
        self.metrics.event_loop_lag.observe(seconds)
        self._load_meter.take_lag(seconds)
        self.row.beat()

    async def _sample(self) -> None:
        """Updates the gauges, such as readiness and the rate of frames."""
        while True:
            self.metrics.ready.set(self.able)
            frames, cpu_s = self.metrics.frames_inferred_so_far(), time.process_time()
            if (words := shortage_of_descriptors()) is not None:
                self._shortage.note(words)
            await asyncio.sleep(_SAMPLE_S)
            self.metrics.pipeline_fps.set((self.metrics.frames_inferred_so_far() - frames) / _SAMPLE_S)
            self.metrics.cpu_seconds.inc(time.process_time() - cpu_s)


async def _move(connection: Connection, ended: asyncio.Future[None]) -> None:
    """Asks the client to move, and waits until the connection ends."""
    moving = asyncio.create_task(connection.move())
    try:
        await asyncio.wait([moving, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        moving.cancel()
        await asyncio.wait([moving])


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _threads() -> int:
    """Threads of each kind: one per processor, but at least two. Their jobs release the GIL."""
    return max(2, _processors())
