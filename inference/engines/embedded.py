"""The engine inside this process: ONNX Runtime on the CPU. The only file that knows ONNX Runtime."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inference.catalogue import CatalogueError, NetworkFacts, describe
from inference.engines.contract import (
    EngineError,
    EngineObserver,
    EngineOverloaded,
    InFlight,
    ModelFailed,
    ModelInfo,
    ModelNotLoaded,
    Task,
)
from inference.heads import UnknownHead, decode_detections, decode_poses
from inference.model_metadata import KEY
from inference.preprocess import InputSpec, to_tensor
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats

_MAX_BATCH = 8
_MAX_WAITING = 64
_IN_FLIGHT = InFlight(frames=4, of_one_session=1)
_NICENESS = 5
"""Added for the threads of inference, which yield to the event loop and the decoders; these need the
processor for moments only. On Linux nice(2) is about the calling thread, and those that it starts."""

_YOLO = (Task.DETECT, Task.POSE)

_TRIAL_SIZES = {
    Task.DETECT: (FRAME_HEIGHT, FRAME_WIDTH),
    Task.POSE: (FRAME_HEIGHT, FRAME_WIDTH),
    Task.OCR_DET: (64, 64),
    Task.OCR_REC: (48, 64),
}
"""Height and width of the picture that each model is tried with."""


@dataclass(eq=False, slots=True)
class _Request:
    images: NDArray[np.uint8]
    done: asyncio.Future[Floats]


@dataclass(slots=True)
class _Model:
    session: onnxruntime.InferenceSession
    info: ModelInfo
    spec: InputSpec | None
    max_batch: int
    waiting: deque[_Request] = field(default_factory=deque)
    run: asyncio.Task[None] | None = None

    def next_batch(self) -> list[_Request]:
        """Takes the oldest request and those of the same shape behind it, as many as fit in one run."""
        batch: list[_Request] = []
        room = self.max_batch
        while self.waiting:
            images = self.waiting[0].images
            if batch and (len(images) > room or images.shape[1:] != batch[0].images.shape[1:]):
                break
            batch.append(self.waiting.popleft())
            room -= len(images)
        return batch

    def infer(self, requests: Sequence[NDArray[np.uint8]]) -> Floats:
        """One run, or one an image where the network's batch is fixed to 1; blocking."""
        images = np.concatenate(requests)
        tensor = images if self.spec is None else to_tensor(images, self.spec)
        name = self.session.get_inputs()[0].name
        parts = [tensor] if self.max_batch > 1 else list(tensor[:, np.newaxis])
        outputs = [np.asarray(self.session.run(None, {name: part})[0], np.float32) for part in parts]
        heads = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        if len(heads) != len(tensor):
            raise ValueError(
                f"a batch of {len(tensor)} gave {len(heads)} heads; export it with a dynamic batch"
            )
        return heads


class EmbeddedEngine:
    """Implements `inference.engines.contract.Engine`.

    One run at a time for each model: requests that come meanwhile, of whatever session, make the next
    batch. Detection and pose run side by side, each with half of the threads. OCR has one thread of
    its own, so that it never makes detection wait.
    """

    def __init__(self, threads: int = 0, observer: EngineObserver | None = None) -> None:
        threads = threads or len(os.sched_getaffinity(0))
        self._threads_a_run = max(1, threads // len(_YOLO))
        self._observer = observer
        self._models: dict[Task, _Model] = {}
        self._infos: dict[Task, ModelInfo] = {}
        self._closed = False
        self._yolo = ThreadPoolExecutor(len(_YOLO), "inference", os.nice, (_NICENESS,))
        self._ocr = ThreadPoolExecutor(1, "ocr-inference", os.nice, (_NICENESS,))

    @classmethod
    async def open(
        cls, files: Mapping[Task, Path], *, threads: int = 0, observer: EngineObserver | None = None
    ) -> EmbeddedEngine:
        """Loads models off the event loop; ``threads`` 0 means one a processor.

        Raises `inference.catalogue.CatalogueError`.
        """
        engine = cls(threads, observer)
        loop = asyncio.get_running_loop()
        try:
            for task, path in files.items():
                # On the thread pool, so that ONNX Runtime's own threads inherit its low priority.
                model = await loop.run_in_executor(
                    engine._executor(task), _load, task, path, engine._threads_a_run
                )
                engine._models[task], engine._infos[task] = model, model.info
        except BaseException:
            await engine.close()
            raise
        return engine

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        """Models that were loaded. Stays readable after `close`: who decodes a last head still needs it."""
        return self._infos

    @property
    def in_flight(self) -> InFlight:
        """As `Engine.in_flight` of the contract. For a processor a batch is no cheaper than its frames."""
        return _IN_FLIGHT

    @property
    def trouble(self) -> None:
        """Models in this process are always there."""

    async def ready(self) -> None:
        """They have been loaded and tried by `open`."""

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Floats:
        """As `Engine.infer` of the contract."""
        model = self._models.get(task)
        if model is None or self._closed:
            raise ModelNotLoaded(f"no model for {task}")
        if len(model.waiting) >= _MAX_WAITING:
            raise EngineOverloaded(f"{len(model.waiting)} requests are waiting for {task}")
        request = _Request(images, asyncio.get_running_loop().create_future())
        model.waiting.append(request)
        if model.run is None:
            model.run = asyncio.create_task(self._run(task, model), name=f"{task}-batches")
        try:
            return await request.done
        except asyncio.CancelledError:
            if request in model.waiting:
                model.waiting.remove(request)
            raise

    async def close(self) -> None:
        """As `Engine.close` of the contract. Requests that wait for a run get `ModelNotLoaded`."""
        self._closed = True
        for model in self._models.values():
            for request in model.waiting:
                _fail(request, ModelNotLoaded("the engine was closed"))
            model.waiting.clear()
        runs = [model.run for model in self._models.values() if model.run is not None]
        if runs:
            await asyncio.wait(runs)
        for executor in (self._yolo, self._ocr):
            await asyncio.to_thread(executor.shutdown)
        self._models.clear()

    async def _run(self, task: Task, model: _Model) -> None:
        """Runs batches until nothing waits."""
        try:
            while batch := model.next_batch():
                await self._run_batch(task, model, batch)
        finally:
            model.run = None

    async def _run_batch(self, task: Task, model: _Model, batch: list[_Request]) -> None:
        sizes = [len(request.images) for request in batch]
        began = time.perf_counter()
        try:
            output = await asyncio.get_running_loop().run_in_executor(
                self._executor(task), model.infer, [request.images for request in batch]
            )
        except Exception as exc:  # noqa: BLE001 - ONNX Runtime's errors share no base class
            error = ModelFailed(f"{model.info.name}: {str(exc)[:200]}")
            for request in batch:
                _fail(request, error)
            if self._observer is not None:
                self._observer.batch_failed(task, sum(sizes), error)
            return
        if self._observer is not None:
            self._observer.batch_done(task, sum(sizes), time.perf_counter() - began)
        parts = np.split(output, np.cumsum(sizes)[:-1])
        for request, part in zip(batch, parts, strict=True):
            if not request.done.done():
                request.done.set_result(part)

    def _executor(self, task: Task) -> ThreadPoolExecutor:
        return self._yolo if task in _YOLO else self._ocr


def _load(task: Task, path: Path, threads: int) -> _Model:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads if task in _YOLO else 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin between runs would take the processor from everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory pattern is kept, and allocated in one piece, for each size of batch or picture.
    options.enable_mem_pattern = False
    # OCR's pictures come in many sizes; an arena would keep the most that each ever needed.
    options.enable_cpu_mem_arena = task in _YOLO
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise CatalogueError(f"{path}: ONNX Runtime cannot load it: {str(exc)[:200]}") from exc
    facts = _facts(path, session)
    info, spec = describe(task, path, facts)
    model = _Model(session, info, spec, max_batch=1 if facts.input_shape[0] == 1 else _MAX_BATCH)
    _try(path, model)
    return model


def _try(path: Path, model: _Model) -> None:
    """Runs on grey pictures, two where it takes batches: warms the model up, and shows a head or a batch
    that is not what its shapes promised."""
    task = model.info.task
    try:
        output = model.infer([np.full((min(model.max_batch, 2), *_TRIAL_SIZES[task], 3), 114, np.uint8)])
        if task is Task.DETECT:
            decode_detections(output[0], model.info, threshold=1.0)
        elif task is Task.POSE:
            decode_poses(output[0], model.info, threshold=1.0)
    except UnknownHead as exc:
        raise CatalogueError(f"{path}: {exc}") from exc
    except Exception as exc:
        raise CatalogueError(f"{path}: a trial run failed: {str(exc)[:200]}") from exc


def _facts(path: Path, session: Any) -> NetworkFacts:
    entry = session.get_inputs()[0]
    metadata = session.get_modelmeta().custom_metadata_map
    facts = NetworkFacts(entry.shape, session.get_outputs()[0].shape, metadata)
    if KEY in metadata and entry.type == "tensor(uint8)":
        return facts
    channels = entry.shape[1] if len(entry.shape) == 4 else 0
    if entry.type != "tensor(float)" or (isinstance(channels, int) and channels != 3):
        raise CatalogueError(
            f"{path}: its input is {entry.type} {entry.shape}; float32 [batch, 3, H, W] is taken"
        )
    return facts


def _fail(request: _Request, error: EngineError) -> None:
    if not request.done.done():
        request.done.set_exception(error)
