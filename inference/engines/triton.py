"""The engine that sends frames to NVIDIA Triton.

Triton serves models whose names are those of `inference.engines.contract.Task`. They take ``frames``, and
give the outputs named in `inference.stages.Network`. The parameters of their configuration carry their
`ModelInfo`, see `inference.model_metadata`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from inference.engines.contract import (
    DeadlineMissed,
    EngineError,
    EngineObserver,
    EngineOverloaded,
    EngineUnavailable,
    Head,
    InFlight,
    ModelFailed,
    ModelInfo,
    Task,
)
from inference.engines.frame_memory import FrameMemory
from inference.engines.triton_batches import BatchCounts
from inference.engines.triton_errors import Refusal, engine_error
from inference.engines.triton_http import HttpLost, TritonHttp
from inference.model_metadata import INPUT, KEY, BadDescription, from_text
from inference.stages import NETWORKS

_MAX_UNDER_WAY = 64
"""Requests of one model in flight at once: the length of Triton's own queue."""

_FRESH = InFlight(frames=4, of_one_session=1)
_BATCHES = InFlight(frames=32, of_one_session=2)
"""For models that prefer batches: while one batch runs, the next is filled with frames of all sessions."""
_MAX_RUN_S = 0.1
"""Longest run at which a second batch is filled. Frames in it wait for the first batch.

If runs take longer, frames wait in their slots instead, where newer frames replace them.
"""
_RUN_COUNTS_S = 10.0
"""A model's run time counts for this time after its last run; later the model may be out of use."""

_FORGET_TIMEOUT_S = 0.5
_LAST_TRIES, _LAST_TRIES_S = 5, 0.5

_WATCH_INTERVAL_S = 0.5
_FIRST_RETRY_S, _MAX_RETRY_S = 0.1, 1.0
_WATCH_TIMEOUT_S = 2.0

_CHANNEL = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Spreads requests over all addresses; by default gRPC uses only the first that answers.
    ("grpc.lb_policy_name", "round_robin"),
    # By default gRPC waits up to two minutes before it tries a lost server again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

logger = logging.getLogger(__name__)


class TritonEngine:
    """Implements `inference.engines.contract.Engine` on one or several Tritons that serve the same models.

    Each frame is one request per model, round robin over the reachable Tritons. Triton makes batches of the
    requests. A task per Triton polls its state and its models. A single Triton on the same machine can read
    frames from shared memory. Requests to it then go over HTTP, if its HTTP service is reachable.
    """

    def __init__(
        self, urls: Sequence[str], http_port: int, deadline_s: float, observer: EngineObserver | None
    ) -> None:
        self._http_port = http_port
        self._deadline_s = deadline_s
        self._observer = observer
        self._infos: dict[Task, ModelInfo] = {}
        self._under_way: Counter[Task] = Counter()
        self._prefer_batches: set[Task] = set()
        self._run_s: dict[Task, tuple[float, float]] = {}
        """Mean seconds of the latest runs, and the `time.monotonic` of that poll."""
        self._troubles: dict[str, str | None] = dict.fromkeys(urls, "Triton has not answered yet")
        self._ready = asyncio.Event()
        self._closed = False
        self._memory: FrameMemory | None = None
        self._http: TritonHttp | None = None
        """The HTTP service of the Triton that has the memory open; ``None`` without memory."""
        self._left_memory: set[str] = set()
        """Names of memory no longer used, which Triton may still have open."""
        self._client = InferenceServerClient(_target(urls), channel_args=_CHANNEL)
        self._watches = [asyncio.create_task(self._watch(url), name=f"watch {url}") for url in urls]

    @classmethod
    async def open(
        cls,
        urls: Sequence[str],
        *,
        deadline_s: float,
        http_port: int = 0,
        observer: EngineObserver | None = None,
    ) -> TritonEngine:
        """Begins to poll the Tritons at ``urls``, and returns at once; see `ready` and `trouble`.

        ``urls`` are host:port of the gRPC service; several must be IPv4 addresses. ``http_port`` is the port
        of the HTTP service of a single Triton on this machine; 0 disables HTTP. A request fails after
        ``deadline_s`` with `DeadlineMissed`.
        """
        return cls(urls, http_port, deadline_s, observer)

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        """Models that Triton served at the last successful poll."""
        return self._infos

    @property
    def trouble(self) -> str | None:
        """As `Engine.trouble` of the contract; ``None`` if at least one Triton is ready."""
        return None if None in self._troubles.values() else next(iter(self._troubles.values()))

    @property
    def in_flight(self) -> InFlight:
        """As `Engine.in_flight` of the contract.

        It is raised if a model's configuration names preferred batch sizes and its latest runs were short.
        """
        since = time.monotonic() - _RUN_COUNTS_S
        runs = [
            seconds
            for task, (seconds, seen) in self._run_s.items()
            if task in self._prefer_batches and seen > since
        ]
        return _BATCHES if runs and max(runs) <= _MAX_RUN_S else _FRESH

    async def ready(self) -> None:
        """As `Engine.ready` of the contract."""
        await self._ready.wait()

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        """As `Engine.infer` of the contract. Cancelling the call also cancels a gRPC request in Triton."""
        try:
            return await self._infer(task, images)
        except EngineError as exc:
            if self._observer is not None:
                self._observer.batch_failed(task, len(images), exc)
            raise

    async def close(self) -> None:
        """As `Engine.close` of the contract. Requests in flight fail with `EngineUnavailable`."""
        self._closed = True
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self._client.close()
        self._leave_memory()
        await self._give_memory_back()

    async def _infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        if self._closed:
            raise EngineUnavailable("the engine was closed")
        if self._under_way[task] >= _MAX_UNDER_WAY:
            raise EngineOverloaded(f"{_MAX_UNDER_WAY} requests are under way for {task}")
        self._under_way[task] += 1
        try:
            head = await self._ask(task, images)
        except InferenceServerException as exc:
            raise _translated(exc) from exc
        except asyncio.CancelledError as exc:
            task_itself = asyncio.current_task()
            if self._closed and (task_itself is None or not task_itself.cancelling()):
                raise EngineUnavailable("the engine was closed") from exc  # gRPC cancels on close
            raise
        except ValueError as exc:
            raise ModelFailed(f"Triton's answer cannot be read: {exc}") from exc
        finally:
            self._under_way[task] -= 1
        for output in head:
            if output is None or output.dtype != np.float32 or len(output) != len(images):
                raise ModelFailed("Triton's answer lacks a head for each frame")
        return head

    async def _ask(self, task: Task, images: NDArray[np.uint8]) -> Head:
        memory, http = self._memory, self._http
        if memory is None:
            return await self._ask_by_grpc(task, images, None)
        with memory.holding(images) as place:
            if http is None or place is None:
                return await self._ask_by_grpc(task, images, None if place is None else (memory, place))
            outputs = NETWORKS[task].outputs
            try:
                return await http.infer(str(task), images.shape, place, outputs)
            except HttpLost as exc:
                self._leave_http(http)
                raise EngineUnavailable(str(exc)) from exc

    async def _ask_by_grpc(
        self, task: Task, images: NDArray[np.uint8], held: tuple[FrameMemory, int] | None
    ) -> Head:
        """``held``: the memory that holds the images already, and their offset in bytes."""
        frames = InferInput(INPUT, list(images.shape), "UINT8")
        if held is None:
            frames.set_data_from_numpy(images)
        else:
            memory, place = held
            frames.set_shared_memory(memory.name, images.nbytes, place)
        result = await self._client.infer(
            str(task),
            [frames],
            timeout=round(self._deadline_s * 1e6),  # in µs; removes it from Triton's queue
            client_timeout=self._deadline_s,
        )
        return tuple(result.as_numpy(name) for name in NETWORKS[task].outputs)

    # --- the watch ---

    async def _watch(self, url: str) -> None:
        """Polls one Triton every 0.5 s, or after 1 s at most while it is unreachable."""
        batches = BatchCounts(_WATCH_TIMEOUT_S)
        pause = _FIRST_RETRY_S
        async with InferenceServerClient(url, channel_args=_CHANNEL) as client:
            while True:
                try:
                    await self._look(client, url)
                    self._count(await batches.new(client))
                    pause = _WATCH_INTERVAL_S
                except Exception as exc:  # noqa: BLE001 - polling must go on after any error
                    self._found(url, f"Triton at {url}: {_words(exc)}")
                    batches = BatchCounts(_WATCH_TIMEOUT_S)  # a restarted Triton counts from 0
                    pause = min(2 * pause, _MAX_RETRY_S)
                await asyncio.sleep(pause)

    async def _look(self, client: InferenceServerClient, url: str) -> None:
        """Polls which models are ready; reads their descriptions after a reconnection and for new models."""
        index = await client.get_model_repository_index(client_timeout=_WATCH_TIMEOUT_S)
        names = {model.name for model in index.models if model.state == "READY"}
        tasks = [task for task in Task if task in names]
        if not tasks:
            self._found(url, f"Triton at {url} has none of the models {', '.join(Task)} ready")
            return
        if self._troubles[url] is not None or any(task not in self._infos for task in tasks):
            for task in tasks:
                answer = await client.get_model_config(str(task), client_timeout=_WATCH_TIMEOUT_S)
                # If the configuration names none, Triton returns the maximum batch size.
                preferred = answer.config.dynamic_batching.preferred_batch_size
                if any(size < answer.config.max_batch_size for size in preferred):
                    self._prefer_batches.add(task)
                else:
                    self._prefer_batches.discard(task)
                try:
                    self._infos[task] = from_text(answer.config.parameters[KEY].string_value)
                except BadDescription as exc:
                    raise BadDescription(f"model {task}: {exc}") from exc
        if self._troubles[url] is not None and len(self._troubles) == 1:
            self._memory = await self._shared_memory(client)
            self._http = await self._http_service(url)
        self._found(url, None)
        await self._forget_left_memory(client)

    async def _shared_memory(self, client: InferenceServerClient) -> FrameMemory | None:
        """Registers new memory with Triton. Returns ``None`` if Triton cannot open it, as on another machine.

        Raises `InferenceServerException` if Triton does not answer; the next poll tries again.
        """
        try:
            memory = FrameMemory()
        except OSError as exc:
            logger.warning("frames are sent to Triton over gRPC: no shared memory (%s)", exc)
            return None
        try:
            await client.register_system_shared_memory(
                memory.name, memory.key, memory.size, client_timeout=_WATCH_TIMEOUT_S
            )
        except InferenceServerException as exc:
            if isinstance(_translated(exc), DeadlineMissed | EngineUnavailable):
                self._left_memory.add(memory.name)  # it may have opened it all the same
                raise
            logger.info("frames are sent to Triton over gRPC: %s", _words(exc))
            return None
        finally:
            memory.unlink()
        return memory

    async def _http_service(self, url: str) -> TritonHttp | None:
        """Connects to the HTTP service of the Triton that has the memory open; ``None`` if that fails."""
        if self._memory is None or not self._http_port:
            return None
        host = url.rpartition(":")[0].strip("[]")
        http = TritonHttp(host, self._http_port, self._memory, self._deadline_s)
        with contextlib.suppress(HttpLost, TimeoutError):
            async with asyncio.timeout(_WATCH_TIMEOUT_S):
                if await http.knows_memory():
                    return http
        http.close()
        logger.info("requests to Triton use gRPC: its HTTP service is not at port %d", self._http_port)
        return None

    def _leave_http(self, http: TritonHttp) -> None:
        """Falls back to gRPC until the next reconnection to Triton."""
        http.close()
        if http is self._http:
            self._http = None

    def _leave_memory(self) -> None:
        if self._http is not None:
            self._leave_http(self._http)
        if self._memory is not None:
            self._left_memory.add(self._memory.name)
            self._memory = None

    async def _give_memory_back(self) -> None:
        """Unregisters all memory on closing. Triton needs a moment to drop the cancelled requests."""
        if not self._left_memory:
            return
        async with InferenceServerClient(next(iter(self._troubles))) as client:
            for _ in range(_LAST_TRIES):
                await self._forget_left_memory(client)
                if not self._left_memory:
                    return
                await asyncio.sleep(_LAST_TRIES_S / _LAST_TRIES)
        self._left_memory.clear()

    async def _forget_left_memory(self, client: InferenceServerClient) -> None:
        """Unregisters unused memory. Triton refuses while a request reads it; the next poll retries."""

        async def forget(name: str) -> None:
            with contextlib.suppress(InferenceServerException):
                await client.unregister_system_shared_memory(name, client_timeout=_FORGET_TIMEOUT_S)
                self._left_memory.discard(name)

        await asyncio.gather(*map(forget, self._left_memory))

    def _count(self, runs: list[tuple[Task, int, float]]) -> None:
        """Records the runs since the last poll: model, size, seconds."""
        spent: defaultdict[Task, list[float]] = defaultdict(list)
        for task, size, seconds in runs:
            spent[task].append(seconds)
            if self._observer is not None:
                self._observer.batch_done(task, size, seconds)
        now = time.monotonic()
        self._run_s.update({task: (fmean(each), now) for task, each in spent.items()})

    def _found(self, url: str, trouble: str | None) -> None:
        before = self._troubles[url]
        if trouble is None and before is not None:
            logger.info("Triton at %s is ready", url)
        elif trouble is not None and trouble != before:
            logger.warning("%s", trouble)
        self._troubles[url] = trouble
        if trouble is None:
            self._ready.set()
        else:
            self._leave_memory()  # a restarted Triton does not have it open
        if self._observer is not None:
            shares_memory = self._memory is not None
            self._observer.endpoint_seen(url, ready=trouble is None, shares_memory=shares_memory)


def _target(urls: Sequence[str]) -> str:
    """Returns gRPC's target name for one server or several addresses."""
    return urls[0] if len(urls) == 1 else f"ipv4:{','.join(urls)}"


def _translated(exc: InferenceServerException) -> EngineError:
    return engine_error(Refusal.of_grpc(exc.status()), exc.message())


def _words(exc: Exception) -> str:
    text = exc.message() if isinstance(exc, InferenceServerException) else str(exc)
    return str(text)[:200]
