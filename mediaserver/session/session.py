"""The session of one client, which outlives connections: options, tracker, numbering and counters."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from inference.account import Account
from inference.engines.charged import ChargedEngine, RunCosts
from inference.engines.contract import Engine
from inference.fair_threads import FairThreads
from inference.frame import Frame
from inference.load_shedding import CAPPED_RATE, Concession
from inference.ocr.turns import shared_turns
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.scheduler import Scheduler, Turn
from inference.stages import Stage
from inference.types import FrameIdentity
from mediaserver.session.event_log import EventLog
from mediaserver.session.frame_scaler import FrameScaler
from mediaserver.session.frame_sink import FrameSink, PendingFrame
from mediaserver.session.results import frame_info, package, texts_on_wire
from mediaserver.session.shortage import Shortage
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from mediaserver.webrtc.datagram_guard import datagram_surplus
from mediaserver.webrtc.peer_pace import PeerPace
from signaling.continuation import resume_token, session_id
from signaling.jpeg import JpegError
from signaling.messages import Drop, Error, ErrorCode, OcrEvent, Result, ServerMessage
from signaling.rate_limit import RateLimit

_FAILURES_PER_S = 0.5


@dataclass(frozen=True, slots=True)
class Inference:
    """The engine, threads and limits that all sessions share."""

    engine: Engine
    costs: RunCosts
    scheduler: Scheduler
    decode_threads: FairThreads
    frame_threads: FairThreads
    """Threads for scaling and for decoding JPEG: short jobs, which other work must not delay."""
    vision_threads: FairThreads
    """Threads for the pipeline's own work: decoding heads, flow, tracking, OCR's pixels."""
    metrics: Metrics
    settings: Settings
    shortage: Shortage
    ocr_turns: Scheduler = field(default_factory=shared_turns)
    datagram_surplus: RateLimit = field(default_factory=datagram_surplus)
    peer_pace: PeerPace = field(default_factory=PeerPace)


class Outlet(Protocol):
    """The output of a session: the connection that runs it."""

    async def send(self, message: ServerMessage) -> None:
        """Sends a message that must arrive."""
        ...

    async def room(self) -> None:
        """Waits until the client would read a result."""
        ...

    async def send_result(self, result: Result) -> bool:
        """Sends a result, which may be lost. Returns false if it was dropped."""
        ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A frame that is ready for the models. Preparing it took ``seconds``."""

    pending: PendingFrame
    frame: Frame
    seconds: float


class _BusyTime:
    """Counts the seconds in which at least one frame is in inference."""

    def __init__(self) -> None:
        self._under_way = 0
        self._since = self._spent_s = 0.0

    @property
    def seconds(self) -> float:
        return self._spent_s + (time.monotonic() - self._since if self._under_way else 0.0)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        if not self._under_way:
            self._since = time.monotonic()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._spent_s += time.monotonic() - self._since


class Session:
    """One client's work. It has no task of its own; a `mediaserver.session.service.Service` runs it.

    With ``every_frame`` the client sends recorded frames in lock-step: one frame at a time is in inference.
    No frame counts as too old, and no result is dropped.
    """

    def __init__(
        self,
        inference: Inference,
        options: PipelineOptions,
        subject: str | None = None,
        name: str | None = None,
        *,
        id: str | None = None,
        seq_floor: int = 0,
        every_frame: bool = False,
    ) -> None:
        self.id = id or session_id()
        """Id of the session. A continuation of a session on another server has the same id."""
        self.subject = subject
        """The token's subject; ``None`` if the server has no keys."""
        self.name = name
        """Name of a stream by WHIP, unique among the sessions of its subject."""
        keys = inference.settings.token_keys
        self.resume_token = resume_token(
            self.id, subject, seq_floor, keys.by_id if keys else None, time.time()
        )
        self.seq_floor = seq_floor
        """Results are numbered above this, after those of an earlier session on another server."""
        self.every_frame = every_frame
        self.sink = FrameSink(inference.metrics, partial(self.count_drop, Drop.SINK, "replaced"))
        self.account = Account()
        self.pipeline = Pipeline(
            ChargedEngine(inference.engine, inference.costs, self.account),
            options,
            inference.vision_threads.lane(self.account),
            inference.ocr_turns,
            every_frame=every_frame,
        )
        self._frame_lane = inference.frame_threads.lane(self.account)
        self.clock_offset_ms: float | None = None
        """This machine's clock minus the client's in ms; ``None`` if unknown."""
        self.events = EventLog()
        self.asked_framerate: float | None = None
        """Frames a second of a ``rate`` hint that limits the sender; ``None`` without such a hint."""
        self.inferred = 0
        self.results_sent = 0
        self._inference = inference
        self._busy = _BusyTime()
        self._concession = Concession()
        self._due_at = float("-inf")
        """Earliest time for the next frame, in `time.monotonic` seconds."""
        self._running = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self.dropped = {where.value: 0 for where in Drop}
        """Frames and results lost since the session began, by `Drop`."""
        self._failure_limit = RateLimit(_FAILURES_PER_S, burst=2)

    @property
    def busy_s(self) -> float:
        """Seconds in which a frame waited for its turn or was in inference, since the session began."""
        return self._busy.seconds

    def concede(self, concession: Concession) -> None:
        """Applies a reduction of stages."""
        if concession != self._concession:
            self._concession = concession
            self.pipeline.concede(concession)

    @property
    def degraded(self) -> list[Stage]:
        """Stages that are on and reduced, in the order `inference.load_shedding.ORDER`."""
        return self._concession.of(stage for stage in Stage if self.pipeline.options.has(stage))

    async def run(self, outlet: Outlet) -> None:
        """Infers the newest frames until cancelled, as many at once as the engine can use.

        A call first waits for the end of an earlier call, as the pipeline supports one at a time. An OCR run
        continues after the call; `close` cancels it.
        """
        async with self._running:
            try:
                async with asyncio.TaskGroup() as frames:
                    await self._run(outlet, frames)
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from errors
            finally:
                self.sink.take()  # a waiting session holds no picture except one for OCR

    async def close(self) -> None:
        """Ends the session, including an OCR run. Idempotent."""
        await self.pipeline.stop()

    async def _run(self, outlet: Outlet, frames: asyncio.TaskGroup) -> None:
        """Takes frames, and starts a task in ``frames`` for each."""
        scaler = FrameScaler()
        under_way: set[asyncio.Task[None]] = set()
        while True:
            while len(under_way) >= self._at_once:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            await outlet.room()
            await self._rest()
            await self.sink.filled()
            try:
                with self._busy.counted():
                    prepared = await self._prepare_early(scaler)
                    turn = await self._inference.scheduler.turn(self.account)
            except JpegError as exc:
                await self._report(outlet, ErrorCode.BAD_FRAME, str(exc))
                continue
            pending = prepared.pending if prepared else self.sink.take()
            if pending is None or self._is_too_old_to_infer(pending):
                turn.end()
                continue
            task = frames.create_task(self._carry(prepared or pending, scaler, turn, outlet))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            task.add_done_callback(partial(_end, turn))  # also if the task is cancelled before it runs

    async def _rest(self) -> None:
        """Waits between frames while the rate of results is capped, so that the session gets that rate."""
        if self._concession.capped:
            now = time.monotonic()
            self._due_at = max(self._due_at + 1.0 / CAPPED_RATE, now - 1.0 / CAPPED_RATE)
            await asyncio.sleep(self._due_at - now)

    @property
    def _at_once(self) -> int:
        return 1 if self.every_frame else self._inference.engine.in_flight.of_one_session

    async def _prepare_early(self, scaler: FrameScaler) -> _Prepared | None:
        """Prepares a frame before its turn if that takes long, so that others can use the turn."""
        pending = self.sink.take() if self._frame_lane.is_long else None
        return None if pending is None else await self._prepare(pending, scaler)

    async def _carry(
        self, taken: PendingFrame | _Prepared, scaler: FrameScaler, turn: Turn, outlet: Outlet
    ) -> None:
        """Processes one frame, from its turn to the client."""
        try:
            prepared = taken if isinstance(taken, _Prepared) else await self._prepare(taken, scaler)
        except JpegError as exc:
            turn.end()
            await self._report(outlet, ErrorCode.BAD_FRAME, str(exc))
            return
        with self._busy.counted(), self._inference.metrics.frames_in_flight.track_inprogress():
            result, failures = await self._infer(prepared, turn)
        # The result goes before the reports, as a client that is slow to take these delays the next frame.
        if not self._drop_if_old(prepared.pending, self._inference.settings.max_result_age_ms, "before_send"):
            await self._deliver(result, outlet)
        for stage, words in failures.items():
            await self._report(outlet, ErrorCode.MODEL_FAILED, f"{stage}: {words}")

    async def _prepare(self, pending: PendingFrame, scaler: FrameScaler) -> _Prepared:
        """Scales a frame on the executor. Raises `JpegError`."""
        loop, began = asyncio.get_running_loop(), time.monotonic()
        async with self._preparing:  # in the order in which frames were taken
            frame = await loop.run_in_executor(self._frame_lane, scaler.prepare, pending)
        return _Prepared(pending, frame, time.monotonic() - began)

    async def _infer(self, prepared: _Prepared, turn: Turn) -> tuple[Result, dict[str, str]]:
        """Returns the result, and reasons of failed stages. Ends ``turn`` when the models have finished."""

        async def note_texts(found: TextsFound) -> None:
            self.events.add(OcrEvent(frame_info(found.identity), texts_on_wire(found.texts)))

        metrics, arrived = self._inference.metrics, prepared.pending.arrived
        waited_s = time.monotonic() - arrived - prepared.seconds
        found = await self.pipeline.infer(prepared.frame, note_texts, turn.end)
        if self.every_frame:
            found = await self.pipeline.with_texts(found)
        timing_ms = {
            "wait": waited_s * 1000.0,
            "prepare": prepared.seconds * 1000.0,
            **found.timing_ms,
            "total": (time.monotonic() - arrived) * 1000.0,
        }
        for stage, spent in timing_ms.items():
            metrics.stage_seconds.labels(stage).observe(spent / 1000.0)
        metrics.frames_inferred.inc()
        self.inferred += 1
        result = package(
            self.seq_floor + self.inferred, prepared.frame.identity, found, timing_ms, self.dropped
        )
        return result, found.failures

    async def _deliver(self, result: Result, outlet: Outlet) -> None:
        if self.every_frame:
            await outlet.send(result)
            self.results_sent += 1
        elif await outlet.send_result(result):
            self.results_sent += 1
        else:
            self.count_drop(Drop.SEND, "congested")

    def _is_too_old_to_infer(self, pending: PendingFrame) -> bool:
        settings = self._inference.settings
        if self._drop_if_old(pending, settings.max_frame_age_ms, "before_inference"):
            return True
        age_ms = self._age_ms(pending.identity)
        is_old = age_ms is not None and age_ms > settings.max_capture_age_ms and not self.every_frame
        if is_old:
            self.count_drop(Drop.STALE, "before_arrival")
        return is_old

    def _age_ms(self, identity: FrameIdentity) -> float | None:
        """Time since the capture in ms; ``None`` if the difference of the clocks is unknown."""
        if identity.capture_time_ms is None:
            return None
        # Estimated times are on this machine's clock.
        offset_ms = 0.0 if identity.capture_time_estimated else self.clock_offset_ms
        return None if offset_ms is None else time.time() * 1000.0 - identity.capture_time_ms - offset_ms

    def _drop_if_old(self, pending: PendingFrame, limit_ms: float, reason: str) -> bool:
        """Whether the frame arrived more than ``limit_ms`` ago; it is then counted as dropped."""
        age_ms = (time.monotonic() - pending.arrived) * 1000.0
        is_old = age_ms > limit_ms and not self.every_frame
        if is_old:
            self.count_drop(Drop.STALE, reason)
        return is_old

    def count_drop(self, where: Drop, reason: str, count: int = 1) -> None:
        """Counts lost frames or results, for the client and in the metrics."""
        self.dropped[where] += count
        self._inference.metrics.frames_dropped.labels(where, reason).inc(count)

    async def _report(self, outlet: Outlet, code: ErrorCode, words: str) -> None:
        """Sends an error to the client, at a limited rate.

        In lock-step the client waits for an answer to each frame, and ``bad_frame`` is one.
        """
        self._inference.metrics.protocol_errors.labels(code).inc()
        is_answer = self.every_frame and code is ErrorCode.BAD_FRAME
        if is_answer or self._failure_limit.allows(time.monotonic()):
            await outlet.send(Error(code, words[:200], fatal=False))


def _end(turn: Turn, task: asyncio.Task[None]) -> None:
    turn.end()
