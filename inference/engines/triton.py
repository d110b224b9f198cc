"""The engine that sends frames to NVIDIA Triton over gRPC. The only file that knows Triton's client.

Triton serves models named as `inference.engines.contract.Task`, which take ``frames``, give outputs named as
`inference.stages.Network` says, and carry their `ModelInfo` in the parameters of their configuration; see
`inference.model_metadata`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
    ModelNotLoaded,
    Task,
)
from inference.engines.frame_memory import FrameMemory
from inference.model_metadata import INPUT, KEY, BadDescription, from_text
from inference.stages import NETWORKS

_MAX_UNDER_WAY = 64
"""Requests of one model that are under way at once; as many as Triton's own queue takes."""

_FRESH = InFlight(frames=4, of_one_session=1)
_BATCHES = InFlight(frames=32, of_one_session=2)
"""For models that are made for batches: while one runs, the next one gathers, with frames of all sessions."""
_MAX_RUN_S = 0.1
"""The frames that gather wait for the run before theirs. Where that takes longer they had better wait in
their slots, where newer ones can replace them."""
_RUN_COUNTS_S = 10.0
"""For so long after its last run a model says how long runs take; later, maybe nobody asks for it."""

_WATCH_INTERVAL_S = 0.5
_FIRST_RETRY_S, _MAX_RETRY_S = 0.1, 1.0
_WATCH_TIMEOUT_S = 2.0

_CHANNEL = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Over all addresses of the target; without it gRPC stays with the first that answers.
    ("grpc.lb_policy_name", "round_robin"),
    # By itself gRPC waits up to two minutes before it tries a lost server again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

logger = logging.getLogger(__name__)


class TritonEngine:
    """Implements `inference.engines.contract.Engine` on one or several Tritons that serve the same models.

    Frames go out one request each over one channel, in turns to each Triton that is there; Triton makes
    batches of them. Beside it a watch asks each Triton whether it is there and what it serves. A single
    Triton that can open memory of this process, being on the same machine, reads the frames from there.
    """

    def __init__(self, urls: Sequence[str], deadline_s: float, observer: EngineObserver | None) -> None:
        self._deadline_s = deadline_s
        self._observer = observer
        self._infos: dict[Task, ModelInfo] = {}
        self._under_way: Counter[Task] = Counter()
        self._prefer_batches: set[Task] = set()
        self._run_s: dict[Task, tuple[float, float]] = {}
        """How long runs took, and `time.monotonic` when that was seen."""
        self._troubles: dict[str, str | None] = dict.fromkeys(urls, "Triton has not answered yet")
        self._ready = asyncio.Event()
        self._closed = False
        self._memory: FrameMemory | None = None
        self._memory_name = f"frames-{secrets.token_hex(8)}"
        self._client = InferenceServerClient(_target(urls), channel_args=_CHANNEL)
        self._watches = [asyncio.create_task(self._watch(url), name=f"watch {url}") for url in urls]

    @classmethod
    async def open(
        cls, urls: Sequence[str], *, deadline_s: float, observer: EngineObserver | None = None
    ) -> TritonEngine:
        """Begins to watch the Tritons at ``urls`` (host:port; IPv4 addresses where they are several).

        Returns at once, whether they are there or not: see `ready` and `trouble`. A request that takes longer
        than ``deadline_s`` is given up.
        """
        return cls(urls, deadline_s, observer)

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        """Models that Triton served when it was last there."""
        return self._infos

    @property
    def trouble(self) -> str | None:
        """As `inference.engines.contract.Engine.trouble`; one Triton that is there is enough."""
        return None if None in self._troubles.values() else next(iter(self._troubles.values()))

    @property
    def in_flight(self) -> InFlight:
        """As `Engine.in_flight` of the contract. Many where a model's configuration names preferred batch
        sizes, and its runs were short when they were last seen."""
        since = time.monotonic() - _RUN_COUNTS_S
        runs = [
            seconds
            for task, (seconds, seen) in self._run_s.items()
            if task in self._prefer_batches and seen > since
        ]
        return _BATCHES if runs and max(runs) <= _MAX_RUN_S else _FRESH

    async def ready(self) -> None:
        """As `inference.engines.contract.Engine.ready`."""
        await self._ready.wait()

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        """As `Engine.infer` of the contract. Cancelling the call cancels the request in Triton too."""
        try:
            return await self._infer(task, images)
        except EngineError as exc:
            if self._observer is not None:
                self._observer.batch_failed(task, len(images), exc)
            raise

    async def close(self) -> None:
        """As `inference.engines.contract.Engine.close`. Requests under way end with `EngineUnavailable`."""
        self._closed = True
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        if self._memory is not None:
            self._memory = None
            with contextlib.suppress(InferenceServerException):
                await self._forget_memory(self._client)
        await self._client.close()

    async def _infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        if self._closed:
            raise EngineUnavailable("the engine was closed")
        if self._under_way[task] >= _MAX_UNDER_WAY:
            raise EngineOverloaded(f"{_MAX_UNDER_WAY} requests are under way for {task}")
        self._under_way[task] += 1
        try:
            with self._input(images) as frames:
                result = await self._client.infer(
                    str(task),
                    [frames],
                    timeout=round(self._deadline_s * 1e6),  # leaves Triton's queue then
                    client_timeout=self._deadline_s,
                )
            head = tuple(result.as_numpy(name) for name in NETWORKS[task].outputs)
        except InferenceServerException as exc:
            raise _translated(exc) from exc
        except asyncio.CancelledError as exc:
            task_itself = asyncio.current_task()
            if self._closed and (task_itself is None or not task_itself.cancelling()):
                raise EngineUnavailable("the engine was closed") from exc  # gRPC says it with this error
            raise
        except ValueError as exc:
            raise ModelFailed(f"Triton's answer cannot be read: {exc}") from exc
        finally:
            self._under_way[task] -= 1
        for output in head:
            if output is None or output.dtype != np.float32 or len(output) != len(images):
                raise ModelFailed("Triton gave no head for each frame")
        return head

    @contextlib.contextmanager
    def _input(self, images: NDArray[np.uint8]) -> Iterator[InferInput]:
        frames = InferInput(INPUT, list(images.shape), "UINT8")
        memory = self._memory
        with contextlib.nullcontext() if memory is None else memory.holding(images) as place:
            if place is None:
                frames.set_data_from_numpy(images)
            else:
                frames.set_shared_memory(self._memory_name, images.nbytes, place)
            yield frames

    # --- the watch ---

    async def _watch(self, url: str) -> None:
        """Asks one Triton over and over; sooner while it is away."""
        batches = _BatchCounts()
        pause = _FIRST_RETRY_S
        async with InferenceServerClient(url, channel_args=_CHANNEL) as client:
            while True:
                try:
                    await self._look(client, url)
                    self._count(await batches.new(client))
                    pause = _WATCH_INTERVAL_S
                except Exception as exc:  # noqa: BLE001 - a watch that ended would leave the engine blind
                    self._found(url, f"Triton at {url}: {_words(exc)}")
                    batches = _BatchCounts()  # if it is started anew it counts anew
                    pause = min(2 * pause, _MAX_RETRY_S)
                await asyncio.sleep(pause)

    async def _look(self, client: InferenceServerClient, url: str) -> None:
        """Learns which models are ready, and what they are when Triton is met anew or has more of them."""
        index = await client.get_model_repository_index(client_timeout=_WATCH_TIMEOUT_S)
        names = {model.name for model in index.models if model.state == "READY"}
        tasks = [task for task in Task if task in names]
        if not tasks:
            self._found(url, f"Triton at {url} has none of the models {', '.join(Task)} ready")
            return
        if self._troubles[url] is not None or any(task not in self._infos for task in tasks):
            for task in tasks:
                answer = await client.get_model_config(str(task), client_timeout=_WATCH_TIMEOUT_S)
                # Where none is named, Triton says that it prefers the largest.
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
        self._found(url, None)

    async def _shared_memory(self, client: InferenceServerClient) -> FrameMemory | None:
        """New memory that this Triton has open; ``None`` if it cannot, as it cannot from another machine."""
        try:
            memory = FrameMemory()
        except OSError as exc:
            logger.warning("frames go to Triton by gRPC only: no shared memory (%s)", exc)
            return None
        try:
            await self._forget_memory(client)
            await client.register_system_shared_memory(
                self._memory_name, memory.key, memory.size, client_timeout=_WATCH_TIMEOUT_S
            )
        except InferenceServerException as exc:
            logger.info("frames go to Triton by gRPC only: %s", _words(exc))
            return None
        finally:
            memory.unlink()
        return memory

    async def _forget_memory(self, client: InferenceServerClient) -> None:
        """Triton lets it go when the last request that reads it has ended."""
        await client.unregister_system_shared_memory(self._memory_name, client_timeout=_WATCH_TIMEOUT_S)

    def _count(self, runs: list[tuple[Task, int, float]]) -> None:
        """Keeps how long runs take at present: those since the last look."""
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
            self._memory = None  # if it is started anew it does not know it
        if self._observer is not None:
            self._observer.endpoint_seen(url, ready=trouble is None)


class _BatchCounts:
    """The batches that one Triton ran, from its statistics, which count since its start."""

    def __init__(self) -> None:
        self._before: dict[tuple[Task, int], tuple[int, int]] | None = None

    async def new(self, client: InferenceServerClient) -> list[tuple[Task, int, float]]:
        """Model, size and mean seconds of each batch since the last call."""
        answer = await client.get_inference_statistics(client_timeout=_WATCH_TIMEOUT_S)
        now = {
            (Task(model.name), batch.batch_size): (batch.compute_infer.count, batch.compute_infer.ns)
            for model in answer.model_stats
            if model.name in set(Task)
            for batch in model.batch_stats
        }
        before, self._before = self._before, now
        if before is None:  # what it did before we met it is not ours to count
            return []
        batches = []
        for (task, size), (count, spent_ns) in now.items():
            earlier, earlier_ns = before.get((task, size), (0, 0))
            if count < earlier:  # it was started anew
                earlier = earlier_ns = 0
            if count > earlier:
                seconds = (spent_ns - earlier_ns) / (count - earlier) / 1e9
                batches += [(task, size, seconds)] * (count - earlier)
        return batches


def _target(urls: Sequence[str]) -> str:
    """gRPC's name for one server, or for several addresses to take in turns."""
    return urls[0] if len(urls) == 1 else f"ipv4:{','.join(urls)}"


def _translated(exc: InferenceServerException) -> EngineError:
    words = _words(exc)
    match str(exc.status()).removeprefix("StatusCode."):
        case "DEADLINE_EXCEEDED":
            return DeadlineMissed(words)
        case "NOT_FOUND":
            return ModelNotLoaded(words)
        # Triton's own refusals come as UNAVAILABLE too, as does a server that is not there.
        case "UNAVAILABLE" if "maximum queue size" in words:
            return EngineOverloaded(words)
        case "UNAVAILABLE" if "timeout expired" in words.lower():
            return DeadlineMissed(words)
        case "UNAVAILABLE" | "CANCELLED":
            return EngineUnavailable(words)
        case _:
            return ModelFailed(words)


def _words(exc: Exception) -> str:
    text = exc.message() if isinstance(exc, InferenceServerException) else str(exc)
    return str(text)[:200]
