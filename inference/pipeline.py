"""What happens to one frame: flow ∥ models → tracking → OCR when triggered → result."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from inference.engines.contract import Engine, EngineError, Head, Task
from inference.flow import FlowEstimator, FlowField
from inference.frame import Frame
from inference.frame_order import FrameOrder
from inference.heads.found import Found, Thing
from inference.ocr.reader import TextLines, find_text, recognise
from inference.ocr.trigger import MotionGauge, OcrReason, OcrTrigger, OcrTriggerConfig
from inference.ocr.turns import OcrTurns
from inference.rounding import COORDINATE_DIGITS, SCORE_DIGITS, rounded
from inference.scheduler import Scheduler
from inference.stages import FRAME_NETWORKS, FrameNetwork, Stage
from inference.tracker import Tracker
from inference.types import Floats, FrameIdentity, PipelineResult, Text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What is on, by the name of each `Stage`, and from which score on a thing counts. ``ocr_labels``,
    ``ocr_on_settle`` and ``ocr_min_interval_s`` as in `OcrTriggerConfig`."""

    detect: bool = True
    pose: bool = True
    segment: bool = False
    ocr: bool = False
    flow: bool = False
    detect_threshold: float = 0.35
    pose_threshold: float = 0.35
    segment_threshold: float = 0.35
    ocr_labels: frozenset[str] = frozenset()
    ocr_on_settle: bool = True
    ocr_min_interval_s: float = 1.0

    def has(self, stage: Stage) -> bool:
        """Whether it is on."""
        return bool(getattr(self, stage))

    def threshold(self, stage: Stage) -> float:
        """Of a stage that gives scores to what it finds in a frame."""
        return float(getattr(self, f"{stage}_threshold"))


@dataclass(frozen=True, slots=True)
class TextsFound:
    """One OCR run: the frame it read, why, and what it found."""

    identity: FrameIdentity
    reason: OcrReason
    texts: tuple[Text, ...]


OnTexts: TypeAlias = Callable[[TextsFound], Awaitable[None]]


class Pipeline:
    """The pipeline of one session. Frames come in order, and so do their results, though several may be under
    way; OCR goes on beside them, one run at a time, in turns that all sessions share."""

    def __init__(
        self, engine: Engine, options: PipelineOptions, executor: Executor, ocr_turns: Scheduler
    ) -> None:
        self.options = options
        self._engine = engine
        self._executor = executor
        self._tracker = Tracker()
        self._flow = FlowEstimator()
        self._motion_gauge = MotionGauge()
        self._looks = FrameOrder()
        self._results = FrameOrder()
        self._ocr_trigger = OcrTrigger(_trigger_config(options))
        self._ocr_turns = OcrTurns(ocr_turns)
        self._to_read: tuple[Frame, OcrReason] | None = None
        """The newest frame that OCR is wanted for, while that waits for its turn."""
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
        with self._results.place() as turn:
            options, notes = self.options, _Notes()
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(self._look_in_order(frame, options, notes))
                running = {
                    stage: group.create_task(self._run(stage, network, frame, notes))
                    for stage, network in FRAME_NETWORKS.items()
                    if options.has(stage)
                }
            await turn()
            heads = {stage: head for stage, task in running.items() if (head := task.result()) is not None}
            flow, change = looking.result()
            found, labels = await self._on_executor(self._assemble, frame, options, notes, heads, flow)
            self._collect_ocr()
            self._consider_ocr(frame, labels, change, on_texts)
            if self._ocr_failure is not None:
                notes.failures[Stage.OCR], self._ocr_failure = self._ocr_failure, None
            texts, self._new_texts = self._new_texts, None
            motion = None if flow is None else flow.global_motion()
            return PipelineResult(
                texts=texts, motion=motion, timing_ms=notes.timing_ms, failures=notes.failures, **found
            )

    async def stop(self) -> None:
        """Cancels an OCR run in progress; the pipeline can go on later."""
        if self._ocr is not None:
            task, self._ocr = self._ocr, None
            self._to_read = None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- stages ---

    async def _run(self, stage: Stage, network: FrameNetwork, frame: Frame, notes: _Notes) -> Head | None:
        with notes.taking(stage, EngineError):
            return await self._engine.infer(network.task, frame.canvas[np.newaxis])
        return None

    async def _look_in_order(
        self, frame: Frame, options: PipelineOptions, notes: _Notes
    ) -> tuple[FlowField | None, float]:
        with self._looks.place() as turn:
            await turn()
            return await self._on_executor(self._look, frame, options, notes)

    def _look(self, frame: Frame, options: PipelineOptions, notes: _Notes) -> tuple[FlowField | None, float]:
        """What differs from the frame before: optical flow, where it is on, and how much of the picture."""
        flow = None
        if options.flow:
            box = frame.letterbox
            picture = frame.canvas[box.top : box.top + box.height, box.left : box.left + box.width]
            with notes.taking(Stage.FLOW):
                flow = self._flow.update(picture, frame.identity.pts_ms / 1000.0)
        return flow, self._motion_gauge.update(frame.canvas)

    def _assemble(
        self,
        frame: Frame,
        options: PipelineOptions,
        notes: _Notes,
        heads: Mapping[Stage, Head],
        flow: FlowField | None,
    ) -> tuple[dict[str, Any], set[str]]:
        """Reads the heads, gives ids, and puts everything into coordinates of the frame that was sent: fields
        of `PipelineResult`, and the labels that the detector found.

        All in one job: changing threads costs more than any of it.
        """
        found: dict[Stage, tuple[Found, list[str]]] = {}
        for stage, head in heads.items():
            network = FRAME_NETWORKS[stage]
            info = self._engine.models[network.task]
            with notes.taking(stage, *_UNREADABLE):
                item = network.decode(tuple(output[0] for output in head), info, options.threshold(stage))
                found[stage] = item, network.labels(item, info)
        boxes = {stage: frame.letterbox.boxes_to_frame(item.boxes) for stage, (item, _) in found.items()}
        ids = self._tracker.update(
            frame.identity.pts_ms / 1000.0, *((boxes[stage], labels) for stage, (_, labels) in found.items())
        )
        results: dict[str, Any] = {network.results: None for network in FRAME_NETWORKS.values()}
        for (stage, (item, labels)), own_ids in zip(found.items(), ids, strict=True):
            things = _things(own_ids, labels, item.scores, boxes[stage])
            results[FRAME_NETWORKS[stage].results] = item.results(things, frame.letterbox, flow)
        return results, set(found[Stage.DETECT][1]) if Stage.DETECT in found else set()

    # --- OCR ---

    def _consider_ocr(self, frame: Frame, labels: set[str], motion: float, on_texts: OnTexts) -> None:
        if not (Task.OCR_DET in self._engine.models and Task.OCR_REC in self._engine.models):
            return
        reason = self._ocr_trigger.observe(time.monotonic(), labels, motion)
        self._to_read = None if reason is None else (frame, reason)
        if self._to_read is not None and self._ocr is None:
            self._ocr = asyncio.create_task(self._read(on_texts), name="ocr")

    async def _read(self, on_texts: OnTexts) -> None:
        try:
            found = await self._find_and_recognise()
        except (EngineError, *_UNREADABLE) as exc:
            self._ocr_failure = _words(exc)
            return
        finally:
            self._ocr_trigger.finished(self._ocr_turns.end_run())
        if found is not None:
            self._new_texts = found.texts
            await on_texts(found)

    async def _find_and_recognise(self) -> TextsFound | None:
        found = await self._find_text()
        if found is None:
            return None
        identity, reason, lines = found
        texts = await recognise(self._engine, lines, self._executor, self._ocr_turns)
        return TextsFound(identity, reason, texts)

    async def _find_text(self) -> tuple[FrameIdentity, OcrReason, TextLines] | None:
        """In the newest frame when its turn comes; ``None`` if the reason was withdrawn meanwhile."""
        async with self._ocr_turns.turn():
            if self._to_read is None:
                return None
            (frame, reason), self._to_read = self._to_read, None
            self._ocr_trigger.started(time.monotonic())
            picture = await self._on_executor(frame.for_ocr)
            return frame.identity, reason, await find_text(self._engine, picture, self._executor)

    def _collect_ocr(self) -> None:
        if self._ocr is not None and self._ocr.done():
            task, self._ocr = self._ocr, None
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


class _Notes:
    """How the stages of one frame did: how long each took, and the failure of one kept from the others."""

    def __init__(self) -> None:
        self.timing_ms: dict[str, float] = {}
        self.failures: dict[str, str] = {}

    @contextlib.contextmanager
    def taking(self, stage: Stage, *failures: type[Exception]) -> Iterator[None]:
        """Adds the time that the block takes to the stage's; one of ``failures`` ends the block only."""
        began = time.perf_counter()
        try:
            yield
        except failures as exc:
            self.failures[stage] = _words(exc)
        finally:
            spent_ms = (time.perf_counter() - began) * 1000.0
            self.timing_ms[stage] = self.timing_ms.get(stage, 0.0) + spent_ms


def _things(ids: list[int], labels: list[str], scores: Floats, boxes: Floats) -> list[Thing]:
    """All that a stage found; ``boxes`` are normalised to the frame."""
    small_scores = rounded(scores, SCORE_DIGITS).tolist()
    small_boxes = map(tuple, rounded(boxes, COORDINATE_DIGITS).tolist())
    return list(map(Thing, ids, labels, small_scores, small_boxes))


_UNREADABLE = (ValueError, IndexError)
"""What reading a head raises that is not what its model's description says; `UnknownHead` is a ValueError."""


def _words(exc: Exception) -> str:
    return str(exc) if isinstance(exc, EngineError) else f"the model's output cannot be read: {exc}"


def _trigger_config(options: PipelineOptions) -> OcrTriggerConfig:
    return OcrTriggerConfig(
        labels=options.ocr_labels if options.ocr else frozenset(),
        on_settle=options.ocr and options.ocr_on_settle,
        min_interval_s=options.ocr_min_interval_s,
    )
