"""What outlives a connection: options, tracker, numbering and counters of one client."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from inference.account import Account
from inference.engines.charged import ChargedEngine, RunCosts
from inference.engines.contract import Engine
from inference.fair_threads import FairThreads
from inference.ocr.turns import shared_turns
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.scheduler import Scheduler, Turn
from mediaserver.session.frame_scaler import FrameScaler
from mediaserver.session.frame_sink import FrameSink, PendingFrame
from mediaserver.session.results import frame_info, package, texts_on_wire
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from signaling.jpeg import JpegError
from signaling.messages import Drop, Error, ErrorCode, OcrEvent, Result, ServerMessage
from signaling.rate_limit import RateLimit

_FAILURES_PER_S = 0.5


@dataclass(frozen=True, slots=True)
class Inference:
    """What all sessions share to get frames inferred."""

    engine: Engine
    costs: RunCosts
    scheduler: Scheduler
    decode_threads: FairThreads
    frame_threads: FairThreads
    """Scales, and decodes JPEG: short work, which no other work may delay."""
    vision_threads: FairThreads
    """Runs what the pipeline does itself: reading heads, flow, cutting out text."""
    metrics: Metrics
    settings: Settings
    ocr_turns: Scheduler = field(default_factory=shared_turns)


class Outlet(Protocol):
    """Where a session's output goes: the connection that it runs on."""

    async def send(self, message: ServerMessage) -> None:
        """Sends what must arrive."""
        ...

    async def send_result(self, result: Result) -> bool:
        """Sends what may be lost; false when it was dropped."""
        ...


class Session:
    """One client's work. Has no task of its own: a `mediaserver.session.service.Service` runs it."""

    def __init__(self, inference: Inference, options: PipelineOptions) -> None:
        self.id = secrets.token_urlsafe(9)
        self.resume_token = secrets.token_urlsafe(24)
        self.sink = FrameSink(inference.metrics, partial(self.count_drop, Drop.SINK, "replaced"))
        self.account = Account()
        self.pipeline = Pipeline(
            ChargedEngine(inference.engine, inference.costs, self.account),
            options,
            inference.vision_threads.lane(self.account),
            inference.ocr_turns,
        )
        self._frame_lane = inference.frame_threads.lane(self.account)
        self.inferred = 0
        self.results_sent = 0
        self._inference = inference
        self._running = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self.dropped = {where.value: 0 for where in Drop}
        """Frames and results lost since the session began, by `Drop`."""
        self._failure_limit = RateLimit(_FAILURES_PER_S, burst=2)

    async def run(self, outlet: Outlet) -> None:
        """Infers the newest frame, over and over, until cancelled; as many at once as the engine has use for.

        A run that begins while another winds up waits for it: the pipeline is for one at a time.
        """
        async with self._running:
            try:
                async with asyncio.TaskGroup() as frames:
                    await self._run(outlet, frames)
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from errors
            finally:
                self.sink.take()  # while the session waits for its client it holds no picture
                await self.pipeline.stop()

    async def _run(self, outlet: Outlet, frames: asyncio.TaskGroup) -> None:
        """Takes frames, and starts a task in ``frames`` for each."""
        scaler, settings = FrameScaler(), self._inference.settings
        under_way: set[asyncio.Task[None]] = set()
        while True:
            while len(under_way) >= self._inference.engine.in_flight.of_one_session:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            await self.sink.filled()
            turn = await self._inference.scheduler.turn(self.account)
            pending = self.sink.take()
            if pending is None or self._drop_if_old(pending, settings.max_frame_age_ms, "before_inference"):
                turn.end()
                continue
            task = frames.create_task(self._carry(pending, scaler, turn, outlet))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            task.add_done_callback(partial(_end, turn))  # also of a task that is cancelled before it runs

    async def _carry(self, pending: PendingFrame, scaler: FrameScaler, turn: Turn, outlet: Outlet) -> None:
        """One frame, from the slot to the client."""
        with self._inference.metrics.frames_in_flight.track_inprogress():
            result, problems = await self._infer(pending, scaler, outlet)
        turn.end()  # a client that is slow to read makes nobody else wait
        # First: the next frame's result may be at hand while the client is slow to take a report.
        limit_ms = self._inference.settings.max_result_age_ms
        if result is not None and not self._drop_if_old(pending, limit_ms, "before_send"):
            await self._deliver(result, outlet)
        for code, words in problems:
            await self._report(outlet, code, words)

    async def _infer(
        self, pending: PendingFrame, scaler: FrameScaler, outlet: Outlet
    ) -> tuple[Result | None, list[tuple[ErrorCode, str]]]:
        """What was found, and what to tell the client of what went wrong."""

        async def send_texts(found: TextsFound) -> None:
            await outlet.send(OcrEvent(frame_info(found.identity), texts_on_wire(found.texts)))

        loop, metrics = asyncio.get_running_loop(), self._inference.metrics
        started = time.monotonic()
        try:
            async with self._preparing:  # in the order in which frames were taken
                frame = await loop.run_in_executor(self._frame_lane, scaler.prepare, pending)
        except JpegError as exc:
            return None, [(ErrorCode.BAD_FRAME, str(exc))]
        prepared = time.monotonic()
        found = await self.pipeline.infer(frame, send_texts)
        timing_ms = {
            "wait": (started - pending.arrived) * 1000.0,
            "prepare": (prepared - started) * 1000.0,
            **found.timing_ms,
            "total": (time.monotonic() - pending.arrived) * 1000.0,
        }
        for stage, spent in timing_ms.items():
            metrics.stage_seconds.labels(stage).observe(spent / 1000.0)
        metrics.frames_inferred.inc()
        self.inferred += 1
        result = package(self.inferred, frame.identity, found, timing_ms, self.dropped)
        return result, [
            (ErrorCode.MODEL_FAILED, f"{stage}: {words}") for stage, words in found.failures.items()
        ]

    async def _deliver(self, result: Result, outlet: Outlet) -> None:
        if await outlet.send_result(result):
            self.results_sent += 1
        else:
            self.count_drop(Drop.SEND, "congested")

    def _drop_if_old(self, pending: PendingFrame, limit_ms: float, reason: str) -> bool:
        """Whether the frame is too old to go on; it is counted then."""
        is_old = (time.monotonic() - pending.arrived) * 1000.0 > limit_ms
        if is_old:
            self.count_drop(Drop.STALE, reason)
        return is_old

    def count_drop(self, where: Drop, reason: str, count: int = 1) -> None:
        """Counts frames or results that were lost, for the client and in the metrics."""
        self.dropped[where] += count
        self._inference.metrics.frames_dropped.labels(where, reason).inc(count)

    async def _report(self, outlet: Outlet, code: ErrorCode, words: str) -> None:
        """Tells the client, but not for every frame."""
        self._inference.metrics.protocol_errors.labels(code).inc()
        if self._failure_limit.allows(time.monotonic()):
            await outlet.send(Error(code, words[:200], fatal=False))


def _end(turn: Turn, task: asyncio.Task[None]) -> None:
    turn.end()
