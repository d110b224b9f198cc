"""The pipeline of one session: flow ∥ models → tracking → OCR if triggered → result."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from inference.engines.contract import Engine, EngineError, Head, Task
from inference.flow import FlowEstimator, FlowField
from inference.frame import Frame
from inference.frame_order import FrameOrder
from inference.heads.poses import PERSON
from inference.load_shedding import Concession
from inference.ocr.reader import MIN_SCORE, Legible, TextLines, find_text, recognise
from inference.ocr.script import Script
from inference.ocr.text_tracks import TextTracks
from inference.ocr.trigger import MotionGauge, OcrReason, OcrTrigger, OcrTriggerConfig
from inference.ocr.turns import OcrTurns
from inference.scheduler import Scheduler
from inference.stage_notes import UNREADABLE, StageNotes, in_words
from inference.stages import FRAME_NETWORKS, TOP_DOWN, FrameNetwork, Stage
from inference.top_down import Crops, TopDown, is_possible
from inference.tracking import StageFound, Tracking
from inference.types import FrameIdentity, PipelineResult, Text

T = TypeVar("T")

_LEAST_SCORE = 0.05
"""Hysteresis lowers no threshold below this score."""


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Which stages are on, by the name of each `Stage`, and their thresholds.

    A new object needs a score of the stage's threshold. An object that is tracked already needs
    ``hysteresis`` less. ``ocr_labels``, ``ocr_on_settle`` and ``ocr_min_interval_s`` are as in
    `OcrTriggerConfig`. ``ocr_min_score`` and ``ocr_script`` are as in `Legible`.
    """

    detect: bool = True
    pose: bool = True
    segment: bool = False
    ocr: bool = False
    flow: bool = False
    detect_threshold: float = 0.35
    pose_threshold: float = 0.35
    segment_threshold: float = 0.35
    hysteresis: float = 0.0
    ocr_labels: frozenset[str] = frozenset()
    ocr_on_settle: bool = True
    ocr_min_interval_s: float = 1.0
    ocr_min_score: float = MIN_SCORE
    ocr_script: Script = Script.LATIN
    priority: tuple[Stage, ...] = ()
    """Stages, most important first. Under load the most important stage is reduced last."""

    def has(self, stage: Stage) -> bool:
        """Whether ``stage`` is on."""
        return bool(getattr(self, stage))

    def least_score(self, stage: Stage) -> float:
        """Least score of an object that is tracked already."""
        threshold = self.threshold(stage)
        return max(threshold - self.hysteresis, min(threshold, _LEAST_SCORE))

    def threshold(self, stage: Stage) -> float:
        """Least score of a new object. ``stage`` must have a threshold: detect, pose or segment."""
        return float(getattr(self, f"{stage}_threshold"))


@dataclass(frozen=True, slots=True)
class TextsFound:
    """The texts of one OCR run, the frame that was read, and the reason of the run."""

    identity: FrameIdentity
    reason: OcrReason
    texts: tuple[Text, ...]


OnTexts: TypeAlias = Callable[[TextsFound], Awaitable[None]]


class Pipeline:
    """The pipeline of one session. OCR runs beside the frames, one run at a time, in turns shared by all
    sessions.

    Several frames may be in inference at once; results come in the order of the frames. With ``every_frame``
    the caller passes one frame at a time, and `with_texts` waits for OCR. Results then depend on the frames
    and their media times only.
    """

    def __init__(
        self,
        engine: Engine,
        options: PipelineOptions,
        executor: Executor,
        ocr_turns: Scheduler,
        *,
        every_frame: bool = False,
    ) -> None:
        self.options = options
        self._concession = Concession()
        self._possible = options
        """The options without the stages that are paused."""
        self._count = 0
        self._engine = engine
        self._executor = executor
        self._every_frame = every_frame
        self._tracking = Tracking()
        self._texts = TextTracks()
        self._top_down = TopDown()
        self._flow = FlowEstimator()
        self._motion_gauge = MotionGauge()
        self._looks = FrameOrder()
        """Order of the frames in optical flow, which compares each with the previous frame."""
        self._cuts = FrameOrder()
        """Order of the frames from which crops are cut. The choice of persons depends on earlier frames."""
        self._results = FrameOrder()
        self._ocr_trigger = OcrTrigger(_trigger_config(options))
        self._ocr_turns = OcrTurns(ocr_turns)
        self._to_read: tuple[Frame, OcrReason] | None = None
        """The newest frame to read, while OCR waits for its turn."""
        self._ocr: asyncio.Task[None] | None = None
        self._new_texts: TextsFound | None = None
        self._ocr_failure: str | None = None

    def configure(self, options: PipelineOptions) -> None:
        """Sets new options, which take effect with the next frame."""
        self.options = options
        self.concede(self._concession)

    def concede(self, concession: Concession) -> None:
        """Reduces stages from the next frame on. OCR that the client requests still runs."""
        self._concession = concession
        off: dict[str, Any] = {stage: False for stage in concession.paused}
        self._possible = dataclasses.replace(self.options, **off)
        self._ocr_trigger.configure(_trigger_config(self._possible))

    def request_ocr(self) -> None:
        """Requests OCR of the next frame, also if OCR is off. A run in progress, and its pause, end first."""
        self._ocr_trigger.request()

    async def infer(
        self, frame: Frame, on_texts: OnTexts, on_models_done: Callable[[], None] = lambda: None
    ) -> PipelineResult:
        """Runs the stages that are on, and returns the result of ``frame``. Raises what ``on_texts`` raised.

        ``on_models_done`` is called when the models have finished, before the result is made. ``on_texts`` is
        called with the texts of each OCR run as soon as the run ends. The next result repeats these texts,
        and names their frame in ``texts_frame``. If a model fails, the result of its stage is ``None`` and
        ``failures`` gives the reason.
        """
        with self._results.place() as turn:
            options, notes = self._possible, StageNotes()
            outputs = await self._run_models(frame, options, notes)
            on_models_done()
            await turn()
            found, labels, motion = await self._on_executor(self._assemble, frame, options, notes, outputs)
            self._collect_ocr()
            self._consider_ocr(frame, labels, motion, on_texts)
            if self._ocr_failure is not None:
                notes.failures[Stage.OCR], self._ocr_failure = self._ocr_failure, None
            read, self._new_texts = self._new_texts, None
            return PipelineResult(
                texts=None if read is None else read.texts,
                texts_frame=None if read is None else read.identity,
                motion=None if outputs.flow is None else outputs.flow.global_motion(),
                timing_ms=notes.timing_ms,
                failures=notes.failures,
                **found,
            )

    async def with_texts(self, result: PipelineResult) -> PipelineResult:
        """Waits for an OCR run that the last `infer` started, and adds its texts to ``result``."""
        if self._ocr is None:
            return result
        await asyncio.wait([self._ocr])
        self._collect_ocr()
        failures = dict(result.failures)
        if self._ocr_failure is not None:
            failures[Stage.OCR], self._ocr_failure = self._ocr_failure, None
        read, self._new_texts = self._new_texts, None
        if read is None:
            return dataclasses.replace(result, failures=failures)
        return dataclasses.replace(
            result,
            texts=read.texts,
            texts_frame=read.identity,
            followed_texts=self._texts.current,
            failures=failures,
        )

    async def stop(self) -> None:
        """Cancels an OCR run in progress. The pipeline can be used again afterwards."""
        self._to_read = None
        if self._ocr is not None:
            task, self._ocr = self._ocr, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- stages ---

    async def _run_models(self, frame: Frame, options: PipelineOptions, notes: StageNotes) -> _Outputs:
        """Runs flow and all models concurrently. Only the model of crops waits for the detector."""
        due = self._due(options)
        top_down = Stage.POSE in due and is_possible(self._engine.models)
        running = due - {Stage.POSE} | {Stage.DETECT} if top_down else due
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._flow_in_order(frame, notes)) if options.flow else None
            tasks = {
                stage: group.create_task(self._run(stage, network, frame, notes))
                for stage, network in FRAME_NETWORKS.items()
                if stage in running
            }
            cropping = None
            if top_down:
                cropping = group.create_task(self._run_crops(tasks[Stage.DETECT], frame, notes))
        heads = {
            stage: head
            for stage, task in tasks.items()
            if stage in due and (head := task.result()) is not None
        }
        return _Outputs(
            heads,
            crops=None if cropping is None else cropping.result(),
            flow=None if looking is None else looking.result(),
        )

    def _due(self, options: PipelineOptions) -> set[Stage]:
        """The stages whose networks run on the next frame. Two stages at half rate alternate."""
        self._count += 1
        halved = [stage for stage in FRAME_NETWORKS if stage in self._concession.halved]
        rests = {stage for number, stage in enumerate(halved) if (self._count + number) % 2}
        return {stage for stage in FRAME_NETWORKS if options.has(stage) and stage not in rests}

    async def _run(self, stage: Stage, network: FrameNetwork, frame: Frame, notes: StageNotes) -> Head | None:
        with notes.taking(stage, EngineError):
            return await self._engine.infer(network.task, frame.canvas[np.newaxis])
        return None

    async def _run_crops(
        self, detecting: asyncio.Task[Head | None], frame: Frame, notes: StageNotes
    ) -> tuple[Crops, Head | None] | None:
        """Cuts crops around the detected persons and runs the model of crops on them."""
        crops = await self._cut_in_order(detecting, frame, notes)
        if crops is None:
            return None
        with notes.taking(Stage.POSE, EngineError):
            head = await self._engine.infer(TOP_DOWN.task, crops.images) if len(crops.images) else None
            return crops, head
        return None

    async def _cut_in_order(
        self, detecting: asyncio.Task[Head | None], frame: Frame, notes: StageNotes
    ) -> Crops | None:
        with self._cuts.place() as turn:
            detected = await detecting
            if detected is None:
                notes.failures.setdefault(Stage.POSE, notes.failures[Stage.DETECT])
                return None
            await turn()
            with notes.taking(Stage.POSE, *UNREADABLE):
                time_s = frame.identity.pts_ms / 1000.0
                return await self._on_executor(
                    self._top_down.cut, detected, self._engine.models, frame.canvas, time_s
                )
        return None

    async def _flow_in_order(self, frame: Frame, notes: StageNotes) -> FlowField | None:
        with self._looks.place() as turn:
            await turn()
            return await self._on_executor(self._flow_to, frame, notes)

    def _flow_to(self, frame: Frame, notes: StageNotes) -> FlowField | None:
        with notes.taking(Stage.FLOW):
            return self._flow.update(frame.picture, frame.identity.pts_ms / 1000.0)

    def _assemble(
        self,
        frame: Frame,
        options: PipelineOptions,
        notes: StageNotes,
        outputs: _Outputs,
    ) -> tuple[dict[str, Any], set[str], float | None]:
        """Decodes the heads, assigns ids, and converts coordinates to those of the frame that was sent.

        Returns fields of `PipelineResult`, the detected labels, and the share of the picture that changed, if
        needed. It is one job, as changing threads costs more than any part of it.
        """
        found: dict[Stage, StageFound] = {}
        for stage, head in outputs.heads.items():
            network = FRAME_NETWORKS[stage]
            info = self._engine.models[network.task]
            with notes.taking(stage, *UNREADABLE):
                item = network.decode(tuple(output[0] for output in head), info, options.least_score(stage))
                found[stage] = StageFound(item, network.labels(item, info), options.threshold(stage))
        if outputs.crops is not None:
            crops, crops_head = outputs.crops
            threshold = options.threshold(Stage.POSE)
            with notes.taking(Stage.POSE, *UNREADABLE):
                persons = crops.read(crops_head, options.least_score(Stage.POSE))
                found[Stage.POSE] = StageFound(persons, [PERSON] * len(persons.scores), threshold)
        results, detected = self._tracking.results(frame, found, outputs.flow)
        if self._can_read:
            results["followed_texts"] = self._texts.follow(frame.identity, frame.picture)
        is_gauged = options.ocr and options.ocr_on_settle
        return results, detected, self._motion_gauge.update(frame.canvas) if is_gauged else None

    # --- OCR ---

    @property
    def _can_read(self) -> bool:
        return Task.OCR_DET in self._engine.models and Task.OCR_REC in self._engine.models

    def _consider_ocr(self, frame: Frame, labels: set[str], motion: float | None, on_texts: OnTexts) -> None:
        if not self._can_read:
            return
        reason = self._ocr_trigger.observe(self._now(frame), labels, motion)
        self._to_read = None if reason is None else (frame, reason)
        if self._to_read is not None and self._ocr is None:
            self._ocr = asyncio.create_task(self._read(on_texts), name="ocr")

    async def _read(self, on_texts: OnTexts) -> None:
        try:
            found = await self._find_and_recognise()
        except (EngineError, *UNREADABLE) as exc:
            self._ocr_failure = in_words(exc)
            return
        finally:
            spent_s = self._ocr_turns.end_run()
            self._ocr_trigger.finished(0.0 if self._every_frame else spent_s)
        if found is not None:
            self._new_texts = found
            await on_texts(found)

    async def _find_and_recognise(self) -> TextsFound | None:
        found = await self._find_text()
        if found is None:
            return None
        identity, reason, lines = found
        legible = Legible(self.options.ocr_min_score, self.options.ocr_script)
        texts = await recognise(self._engine, lines, self._executor, self._ocr_turns, legible)
        return TextsFound(identity, reason, await self._on_executor(self._texts.end_reading, texts))

    async def _find_text(self) -> tuple[FrameIdentity, OcrReason, TextLines] | None:
        """Finds text in the newest frame when the turn comes; ``None`` if the reason was withdrawn."""
        async with self._ocr_turns.turn():
            if self._to_read is None:
                return None
            (frame, reason), self._to_read = self._to_read, None
            self._ocr_trigger.started(self._now(frame))
            self._texts.begin_reading(frame.identity)
            picture = await self._on_executor(frame.for_ocr)
            return frame.identity, reason, await find_text(self._engine, picture, self._executor)

    def _now(self, frame: Frame) -> float:
        """Seconds on the clock of OCR's intervals: media time with ``every_frame``, else monotonic time."""
        return frame.identity.pts_ms / 1000.0 if self._every_frame else time.monotonic()

    def _collect_ocr(self) -> None:
        if self._ocr is not None and self._ocr.done():
            task, self._ocr = self._ocr, None
            task.result()

    async def _on_executor(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs ``work`` on the executor, and waits for its end even if cancelled.

        Otherwise a thread could still change the session's state after the cancellation.
        """
        job = asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            await asyncio.gather(job, return_exceptions=True)
            raise


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Outputs of the models and of flow for one frame. ``crops`` come with the output of their model."""

    heads: Mapping[Stage, Head]
    crops: tuple[Crops, Head | None] | None
    flow: FlowField | None


def _trigger_config(options: PipelineOptions) -> OcrTriggerConfig:
    return OcrTriggerConfig(
        labels=options.ocr_labels if options.ocr else frozenset(),
        on_settle=options.ocr and options.ocr_on_settle,
        min_interval_s=options.ocr_min_interval_s,
    )
