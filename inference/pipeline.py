"""What happens to one frame: flow ∥ detect ∥ pose → tracking → OCR when triggered → result."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from inference.engines.contract import Engine, EngineError, Task
from inference.flow import FlowEstimator, FlowField
from inference.frame import Frame
from inference.heads import decode_detections, decode_poses
from inference.ocr.reader import read_text
from inference.ocr.trigger import MotionGauge, OcrReason, OcrTrigger, OcrTriggerConfig
from inference.tracker import Tracker
from inference.types import Detection, Floats, Motion, PipelineResult, Pose, Text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What is on. ``ocr_labels``, ``ocr_on_settle`` and ``ocr_min_interval_s`` as in `OcrTriggerConfig`."""

    detect: bool = True
    pose: bool = True
    ocr: bool = False
    flow: bool = False
    detect_threshold: float = 0.35
    pose_threshold: float = 0.35
    ocr_labels: frozenset[str] = frozenset()
    ocr_on_settle: bool = True
    ocr_min_interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class TextsFound:
    """One OCR run: the frame it read, why, and what it found."""

    frame: Frame
    reason: OcrReason
    texts: tuple[Text, ...]


OnTexts: TypeAlias = Callable[[TextsFound], Awaitable[None]]


class Pipeline:
    """The pipeline of one session. Frames come in order, and so do their results, though several may be under
    way; OCR goes on beside them, one run at a time."""

    def __init__(self, engine: Engine, options: PipelineOptions, executor: Executor) -> None:
        self.options = options
        self._engine = engine
        self._executor = executor
        self._tracker = Tracker()
        self._flow = FlowEstimator()
        self._flow_turn = asyncio.Lock()
        self._motion_gauge = MotionGauge()
        self._gauge_turn = asyncio.Lock()
        self._before = asyncio.Event()
        self._before.set()
        self._ocr_trigger = OcrTrigger(_trigger_config(options))
        self._ocr: asyncio.Task[None] | None = None
        self._new_texts: tuple[Text, ...] | None = None
        self._ocr_failure: str | None = None

    def configure(self, options: PipelineOptions) -> None:
        """Takes effect with the next frame."""
        self.options = options
        self._ocr_trigger.configure(_trigger_config(options))

    def request_ocr(self) -> None:
        """OCR on the next frame, or as soon as the minimum interval allows; also when OCR is off."""
        self._ocr_trigger.request()

    async def infer(self, frame: Frame, on_texts: OnTexts) -> PipelineResult:
        """Runs what is on and returns what was found in ``frame``.

        ``texts`` are those of an OCR run that ended since the last call; ``on_texts`` gets them as soon as
        that run ends. A model that fails makes its stage ``None`` and is named in ``failures``. Raises
        what ``on_texts`` raised.
        """
        before, self._before = self._before, asyncio.Event()
        done = self._before
        try:
            return await self._infer(frame, on_texts, before)
        finally:
            done.set()

    async def _infer(self, frame: Frame, on_texts: OnTexts, before: asyncio.Event) -> PipelineResult:
        """``before`` is set when the frame before this one is done."""
        stages = _Stages()
        options = self.options
        async with asyncio.TaskGroup() as group:
            detect = group.create_task(stages.run("detect", options.detect, self._detect, frame))
            pose = group.create_task(stages.run("pose", options.pose, self._pose, frame))
            flow = group.create_task(stages.run("flow", options.flow, self._measure_flow, frame))
            change = group.create_task(self._measure_change(frame))
        await before.wait()
        detections, poses, motion = await self._on_executor(
            self._assemble, frame, stages, detect.result(), pose.result(), flow.result()
        )
        self._collect_ocr()
        self._consider_ocr(frame, detections or (), change.result(), on_texts)
        if self._ocr_failure is not None:
            stages.failures["ocr"], self._ocr_failure = self._ocr_failure, None
        texts, self._new_texts = self._new_texts, None
        return PipelineResult(detections, poses, texts, motion, stages.timing_ms, stages.failures)

    async def stop(self) -> None:
        """Cancels an OCR run in progress; the pipeline can go on later."""
        if self._ocr is not None:
            task, self._ocr = self._ocr, None
            self._ocr_trigger.finished()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- stages ---

    async def _detect(self, frame: Frame) -> Floats:
        return await self._engine.infer(Task.DETECT, frame.canvas[np.newaxis])

    async def _pose(self, frame: Frame) -> Floats:
        return await self._engine.infer(Task.POSE, frame.canvas[np.newaxis])

    async def _measure_flow(self, frame: Frame) -> FlowField | None:
        box = frame.letterbox
        picture = frame.canvas[box.top : box.top + box.height, box.left : box.left + box.width]
        async with self._flow_turn:
            return await self._on_executor(self._flow.update, picture, frame.identity.pts_ms / 1000.0)

    async def _measure_change(self, frame: Frame) -> float:
        async with self._gauge_turn:
            return await self._on_executor(self._motion_gauge.update, frame.canvas)

    def _assemble(
        self,
        frame: Frame,
        stages: _Stages,
        detect_head: Floats | None,
        pose_head: Floats | None,
        flow: FlowField | None,
    ) -> tuple[tuple[Detection, ...] | None, tuple[Pose, ...] | None, Motion | None]:
        """Reads the heads, gives ids, and puts everything into coordinates of the frame that was sent.

        All in one job: changing threads costs more than any of it.
        """
        to_frame, models, options = frame.letterbox, self._engine.models, self.options
        found = people = None
        if detect_head is not None:
            with stages.reading("detect"):
                found = decode_detections(detect_head[0], models[Task.DETECT], options.detect_threshold)
        if pose_head is not None:
            with stages.reading("pose"):
                people = decode_poses(pose_head[0], models[Task.POSE], options.pose_threshold)
        boxes = to_frame.boxes_to_frame(found.boxes) if found else _NO_BOXES
        labels = [models[Task.DETECT].labels[index] for index in found.classes] if found else []
        pose_boxes = to_frame.boxes_to_frame(people.boxes) if people else _NO_BOXES
        ids, pose_ids = self._tracker.update(frame.identity.pts_ms / 1000.0, boxes, labels, pose_boxes)
        detections = poses = None
        if found is not None:
            detections = tuple(
                Detection(label, score, box, track_id, flow.velocity_in(box) if flow else None)
                for label, score, box, track_id in zip(
                    labels, found.scores.tolist(), map(tuple, boxes.tolist()), ids, strict=True
                )
            )
        if people is not None:
            keypoints = to_frame.points_to_frame(people.keypoints).tolist()
            poses = tuple(
                Pose(score, box, tuple(map(tuple, points)), track_id)
                for score, box, points, track_id in zip(
                    people.scores.tolist(), map(tuple, pose_boxes.tolist()), keypoints, pose_ids, strict=True
                )
            )
        return detections, poses, flow.global_motion() if flow else None

    # --- OCR ---

    def _consider_ocr(
        self, frame: Frame, detections: tuple[Detection, ...], motion: float, on_texts: OnTexts
    ) -> None:
        if not (Task.OCR_DET in self._engine.models and Task.OCR_REC in self._engine.models):
            return
        now = time.monotonic()
        reason = self._ocr_trigger.observe(now, {item.label for item in detections}, motion)
        if reason is not None:
            self._ocr_trigger.started(now)
            self._ocr = asyncio.create_task(self._read(frame, reason, on_texts), name="ocr")

    async def _read(self, frame: Frame, reason: OcrReason, on_texts: OnTexts) -> None:
        try:
            picture = await self._on_executor(frame.full_size)
            texts = await read_text(self._engine, picture, self._executor)
        except EngineError as exc:
            self._ocr_failure = str(exc)
            return
        except _UNREADABLE as exc:
            self._ocr_failure = _unreadable(exc)
            return
        self._new_texts = texts
        await on_texts(TextsFound(frame, reason, texts))

    def _collect_ocr(self) -> None:
        if self._ocr is not None and self._ocr.done():
            task, self._ocr = self._ocr, None
            self._ocr_trigger.finished()
            task.result()

    async def _on_executor(self, work: Callable[..., T], *arguments: Any) -> T:
        """Ends only after ``work`` has, also when cancelled: no thread may still change what belongs to the
        session when it goes on."""
        job = asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            await asyncio.gather(job, return_exceptions=True)
            raise


class _Stages:
    """Times the stages of one frame, and keeps the failure of one from the others."""

    def __init__(self) -> None:
        self.timing_ms: dict[str, float] = {}
        self.failures: dict[str, str] = {}

    async def run(self, name: str, on: bool, work: Callable[[Frame], Awaitable[T]], frame: Frame) -> T | None:
        """What ``work`` gives; ``None`` when the stage is off or fails."""
        if not on:
            return None
        began = time.perf_counter()
        try:
            return await work(frame)
        except EngineError as exc:
            self.failures[name] = str(exc)
            return None
        finally:
            self.timing_ms[name] = (time.perf_counter() - began) * 1000.0

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """A head that is not what its model's description says fails its stage; the time is the stage's."""
        began = time.perf_counter()
        try:
            yield
        except _UNREADABLE as exc:
            self.failures[name] = _unreadable(exc)
        finally:
            self.timing_ms[name] += (time.perf_counter() - began) * 1000.0


_NO_BOXES = np.empty((0, 4), np.float32)

_UNREADABLE = (ValueError, IndexError)
"""What reading a head raises that is not what its model's description says; `UnknownHead` is a ValueError."""


def _unreadable(exc: Exception) -> str:
    return f"the model's output cannot be read: {exc}"


def _trigger_config(options: PipelineOptions) -> OcrTriggerConfig:
    return OcrTriggerConfig(
        labels=options.ocr_labels if options.ocr else frozenset(),
        on_settle=options.ocr and options.ocr_on_settle,
        min_interval_s=options.ocr_min_interval_s,
    )
