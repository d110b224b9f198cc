"""The engine inside this process: ONNX Runtime on the CPU. No other file imports ONNX Runtime."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
from inference.preprocess import to_tensor
from inference.stages import NETWORKS, frame_network, is_ocr, trial_size

_MAX_BATCH = 8
_MAX_WAITING = 64
_NICENESS = 2
"""Nice value of the inference threads, which yield to the event loop and the decoders.

On Linux, nice(2) affects the calling thread and the threads that it starts.
"""

_OCR_NICENESS = 9
"""Nice value of the OCR thread.

On two processors OCR lowers the rate of detection by a tenth; at the same priority, by a third.
"""

_SIDE_BY_SIDE = 2
"""Runs at once, each with half of the threads: two networks of one frame, or one network for two frames."""

_ALWAYS_LOADED = Task.DETECT


@dataclass(eq=False, slots=True)
class _Request:
    images: NDArray[np.uint8]
    number: int
    """Order of arrival, over all models."""
    done: asyncio.Future[Head]


class _Model:
    """A model file, described when it was opened. After `let_go` the next run loads it again."""

    def __init__(self, task: Task, path: Path, threads: int) -> None:
        """Loads the model and makes a trial run. Raises `CatalogueError`."""
        self._task, self._path, self._threads = task, path, threads
        self._loading = threading.Lock()
        self._session: Any = _session(task, path, threads)
        self._version = _version(path)
        facts = _facts(path, self._session)
        self.info, self._spec = describe(task, path, facts)
        self.max_batch = 1 if facts.input_shape[0] == 1 else _MAX_BATCH
        self.waiting: deque[_Request] = deque()
        self._try()

    def let_go(self) -> None:
        """Frees the network. The next run loads it again."""
        self._session = None

    def next_batch(self, runs: int) -> list[_Request]:
        """Takes the oldest request, and requests of the same shape behind it, for one run.

        The waiting images are divided among the ``runs`` that can begin now.
        """
        batch: list[_Request] = []
        room = min(self.max_batch, -(-sum(len(request.images) for request in self.waiting) // runs))
        while self.waiting:
            images = self.waiting[0].images
            if batch and (len(images) > room or images.shape[1:] != batch[0].images.shape[1:]):
                break
            batch.append(self.waiting.popleft())
            room -= len(images)
        return batch

    def infer(self, requests: Sequence[NDArray[np.uint8]]) -> Head:
        """Runs the network once, or once per image if its batch is fixed to 1. Blocks."""
        session = self._loaded()
        images = np.concatenate(requests)
        tensor = images if self._spec is None else to_tensor(images, self._spec)
        name = session.get_inputs()[0].name
        # Networks may have more outputs than the head.
        outputs = [output.name for output in session.get_outputs()[: len(NETWORKS[self._task].outputs)]]
        parts = [tensor] if self.max_batch > 1 else list(tensor[:, np.newaxis])
        runs = [session.run(outputs, {name: part}) for part in parts]
        head = tuple(np.asarray(np.concatenate(parts), np.float32) for parts in zip(*runs, strict=True))
        for output in head:
            if len(output) != len(tensor):
                raise ValueError(
                    f"a batch of {len(tensor)} gave {len(output)} heads; export it with a dynamic batch"
                )
        return head

    def _loaded(self) -> Any:
        with self._loading:
            if self._session is None:
                if _version(self._path) != self._version:
                    raise ValueError("its file has changed since the server was started")
                self._session = _session(self._task, self._path, self._threads)
            return self._session

    def _try(self) -> None:
        """Runs on one grey picture, or two if the model takes batches.

        This warms the model up. It also reveals a head or a batch size that differs from the declared shapes.
        """
        try:
            trial = np.full((min(self.max_batch, 2), *trial_size(self.info), 3), 114, np.uint8)
            head = self.infer([trial])
            if (network := frame_network(self._task)) is not None:
                network.decode(tuple(output[0] for output in head), self.info, 1.0)
        except UnknownHead as exc:
            raise CatalogueError(f"{self._path}: {exc}") from exc
        except Exception as exc:
            raise CatalogueError(f"{self._path}: a trial run failed: {str(exc)[:200]}") from exc


class _Crew:
    """A group of threads and its models. Each thread makes one run at a time."""

    def __init__(self, count: int, name: str, niceness: int) -> None:
        self.count = count
        self.executor = ThreadPoolExecutor(count, name, os.nice, (niceness,))
        self.models: dict[Task, _Model] = {}
        self.runs: set[asyncio.Task[None]] = set()

    def next_batch(self) -> tuple[Task, list[_Request]] | None:
        """Takes the oldest waiting request and those that share its run, if a thread is free."""
        free = self.count - len(self.runs)
        waiting = [(model.waiting[0].number, task) for task, model in self.models.items() if model.waiting]
        if not free or not waiting:
            return None
        _, task = min(waiting)
        return task, self.models[task].next_batch(free)


class EmbeddedEngine:
    """Implements `inference.engines.contract.Engine`.

    Usually two runs at a time share the threads, whichever models they belong to. Waiting requests of all
    sessions are batched into the next runs. OCR has a thread of its own, and so does not delay the networks
    of the whole frame.

    The detector stays loaded; the other models are loaded by their first request.
    """

    def __init__(self, threads: int = 0, observer: EngineObserver | None = None) -> None:
        threads = threads or len(os.sched_getaffinity(0))
        self._threads_a_run = max(1, threads // _SIDE_BY_SIDE)
        self._observer = observer
        self._infos: dict[Task, ModelInfo] = {}
        self._closed = False
        self._numbers = itertools.count()
        self._frames = _Crew(threads // self._threads_a_run, "inference", _NICENESS)
        self._ocr = _Crew(1, "ocr-inference", _OCR_NICENESS)

    @classmethod
    async def open(
        cls, files: Mapping[Task, Path], *, threads: int = 0, observer: EngineObserver | None = None
    ) -> EmbeddedEngine:
        """Loads the models and makes a trial run of each, off the event loop.

        ``threads`` 0 stands for one per processor. Raises `inference.catalogue.CatalogueError`.
        """
        engine = cls(threads, observer)
        try:
            for task, path in files.items():
                await engine._add(task, path)
        except BaseException:
            await engine.close()
            raise
        return engine

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        """Models that can be run. It stays readable after `close`, for decoding the last heads."""
        return self._infos

    @property
    def in_flight(self) -> InFlight:
        """As `Engine.in_flight` of the contract: one more than the runs at once, as one is being prepared.

        On a processor larger batches save no time.
        """
        return InFlight(frames=self._frames.count + 1, of_one_session=1)

    @property
    def trouble(self) -> None:
        """``None``: models in this process are always available."""

    async def ready(self) -> None:
        """Returns at once: `open` has loaded the models."""

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        """As `Engine.infer` of the contract."""
        crew = self._crew(task)
        model = crew.models.get(task)
        if model is None or self._closed:
            raise ModelNotLoaded(f"no model for {task}")
        if len(model.waiting) >= _MAX_WAITING:
            raise EngineOverloaded(f"{len(model.waiting)} requests are waiting for {task}")
        loop = asyncio.get_running_loop()
        request = _Request(images, next(self._numbers), loop.create_future())
        model.waiting.append(request)
        loop.call_soon(self._begin_runs, crew)  # so that requests of the same loop step share a run
        try:
            return await request.done
        except asyncio.CancelledError:
            if request in model.waiting:
                model.waiting.remove(request)
            raise

    def unload(self, task: Task) -> None:
        """Removes a model that has no requests yet."""
        del self._crew(task).models[task], self._infos[task]

    async def close(self) -> None:
        """As `Engine.close` of the contract. Requests that wait for a run get `ModelNotLoaded`."""
        self._closed = True
        crews = (self._frames, self._ocr)
        for model in (model for crew in crews for model in crew.models.values()):
            for request in model.waiting:
                _fail(request, ModelNotLoaded("the engine was closed"))
            model.waiting.clear()
        runs = [run for crew in crews for run in crew.runs]
        if runs:
            await asyncio.wait(runs)
        for crew in crews:
            try:
                await asyncio.to_thread(crew.executor.shutdown)
            except RuntimeError:  # no memory for the waiting thread; the executor's threads end by themselves
                crew.executor.shutdown(wait=False)
            crew.models.clear()

    async def _add(self, task: Task, path: Path) -> None:
        crew = self._crew(task)
        threads = self._threads_a_run if crew is self._frames else 1
        # In the crew's threads, so that ONNX Runtime's threads inherit their low priority.
        model = await asyncio.get_running_loop().run_in_executor(crew.executor, _Model, task, path, threads)
        if task is not _ALWAYS_LOADED:
            model.let_go()
        crew.models[task], self._infos[task] = model, model.info

    def _begin_runs(self, crew: _Crew) -> None:
        """Begins runs while there are free threads and waiting requests."""
        while (following := crew.next_batch()) is not None:
            task, batch = following
            run = asyncio.create_task(self._run_batch(crew, task, batch), name=f"{task}-run")
            crew.runs.add(run)
            run.add_done_callback(partial(self._end_run, crew))

    def _end_run(self, crew: _Crew, run: asyncio.Task[None]) -> None:
        crew.runs.discard(run)
        self._begin_runs(crew)

    async def _run_batch(self, crew: _Crew, task: Task, batch: list[_Request]) -> None:
        model, sizes = crew.models[task], [len(request.images) for request in batch]
        began = time.perf_counter()
        try:
            head = await asyncio.get_running_loop().run_in_executor(
                crew.executor, model.infer, [request.images for request in batch]
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

    def _crew(self, task: Task) -> _Crew:
        return self._ocr if is_ocr(task) else self._frames


def _session(task: Task, path: Path, threads: int) -> Any:
    """Raises `CatalogueError`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin between runs would take processor time from all other threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # ONNX Runtime would keep a memory pattern, allocated in one piece, for each size of batch or picture.
    options.enable_mem_pattern = False
    # OCR's pictures come in many sizes; an arena would keep the peak memory of each.
    options.enable_cpu_mem_arena = not is_ocr(task)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise CatalogueError(f"{path}: ONNX Runtime cannot load it: {str(exc)[:200]}") from exc


def _version(path: Path) -> tuple[int, int]:
    """Modification time in ns and size in bytes, which change with the file. Raises `OSError`."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


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
