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
    Head,
    InFlight,
    ModelFailed,
    ModelInfo,
    ModelNotLoaded,
    Task,
)
from inference.heads.candidates import UnknownHead
from inference.model_metadata import KEY
from inference.preprocess import InputSpec, to_tensor
from inference.stages import FRAME_NETWORKS, NETWORKS, frame_network

_MAX_BATCH = 8
_MAX_WAITING = 64
_IN_FLIGHT = InFlight(frames=4, of_one_session=1)
_NICENESS = 5
"""Added for the threads of inference, which yield to the event loop and the decoders; these need the
processor for moments only. On Linux nice(2) is about the calling thread, and those that it starts."""

_OCR_NICENESS = 12
"""OCR takes what detection leaves: on two processors a tenth of detection's rate, where it would take a third
at the same priority."""

_SIDE_BY_SIDE = 2
"""Networks that look at the whole frame run side by side, and by default these are two."""


@dataclass(eq=False, slots=True)
class _Request:
    images: NDArray[np.uint8]
    done: asyncio.Future[Head]


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

    def infer(self, requests: Sequence[NDArray[np.uint8]]) -> Head:
        """One run, or one an image where the network's batch is fixed to 1; blocking."""
        images = np.concatenate(requests)
        tensor = images if self.spec is None else to_tensor(images, self.spec)
        name = self.session.get_inputs()[0].name
        parts = [tensor] if self.max_batch > 1 else list(tensor[:, np.newaxis])
        runs = [self.session.run(self._outputs(), {name: part}) for part in parts]
        head = tuple(np.asarray(np.concatenate(outputs), np.float32) for outputs in zip(*runs, strict=True))
        for output in head:
            if len(output) != len(tensor):
                raise ValueError(
                    f"a batch of {len(tensor)} gave {len(output)} heads; export it with a dynamic batch"
                )
        return head

    def _outputs(self) -> list[str]:
        """Networks may have more than their head."""
        wanted = len(NETWORKS[self.info.task].outputs)
        return [output.name for output in self.session.get_outputs()[:wanted]]


class EmbeddedEngine:
    """Implements `inference.engines.contract.Engine`.

    One run at a time for each model: requests that come meanwhile, of whatever session, make the next
    batch. Networks that look at the whole frame run side by side, each with half of the threads. OCR has one
    thread of its own, so that it never makes these wait.
    """

    def __init__(self, threads: int = 0, observer: EngineObserver | None = None) -> None:
        threads = threads or len(os.sched_getaffinity(0))
        self._threads_a_run = max(1, threads // _SIDE_BY_SIDE)
        self._observer = observer
        self._models: dict[Task, _Model] = {}
        self._infos: dict[Task, ModelInfo] = {}
        self._closed = False
        self._frames = ThreadPoolExecutor(len(FRAME_NETWORKS), "inference", os.nice, (_NICENESS,))
        self._ocr = ThreadPoolExecutor(1, "ocr-inference", os.nice, (_OCR_NICENESS,))

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

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
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
        for executor in (self._frames, self._ocr):
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
            head = await asyncio.get_running_loop().run_in_executor(
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
        parts = zip(*(np.split(output, np.cumsum(sizes)[:-1]) for output in head), strict=True)
        for request, part in zip(batch, parts, strict=True):
            if not request.done.done():
                request.done.set_result(part)

    def _executor(self, task: Task) -> ThreadPoolExecutor:
        return self._ocr if frame_network(task) is None else self._frames


def _load(task: Task, path: Path, threads: int) -> _Model:
    options = onnxruntime.SessionOptions()
    is_ocr = frame_network(task) is None
    options.intra_op_num_threads = 1 if is_ocr else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin between runs would take the processor from everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory pattern is kept, and allocated in one piece, for each size of batch or picture.
    options.enable_mem_pattern = False
    # OCR's pictures come in many sizes; an arena would keep the most that each ever needed.
    options.enable_cpu_mem_arena = not is_ocr
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
        trial = np.full((min(model.max_batch, 2), *NETWORKS[task].trial, 3), 114, np.uint8)
        head = model.infer([trial])
        if (network := frame_network(task)) is not None:
            network.decode(tuple(output[0] for output in head), model.info, 1.0)
    except UnknownHead as exc:
        raise CatalogueError(f"{path}: {exc}") from exc
    except Exception as exc:
        raise CatalogueError(f"{path}: a trial run failed: {str(exc)[:200]}") from exc


def _facts(path: Path, session: Any) -> NetworkFacts:
    entry = session.get_inputs()[0]
    metadata = session.get_modelmeta().custom_metadata_map
    facts = NetworkFacts(entry.shape, [output.shape for output in session.get_outputs()], metadata)
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
