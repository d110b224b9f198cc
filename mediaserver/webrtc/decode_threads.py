"""The threads that decode, shared by all streams."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple, Self

logger = logging.getLogger(__name__)


class _Job(NamedTuple):
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    done: Callable[[Any], None]
    loop: asyncio.AbstractEventLoop


class DecodeThreads:
    """Calls ``work`` in one of ``count`` threads, then ``done`` with its result on the event loop.

    `concurrent.futures` does this too, but its futures and locks would take a twentieth of all the processor
    time of receiving a stream. Use as a context manager: on leaving, what was submitted is still done.
    """

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"decode_{i}") for i in range(count)]
        self._closed = False

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, done: Callable[[Any], None], work: Callable[..., Any], *arguments: object) -> None:
        """Call on the event loop. ``done`` gets ``None`` for work that raised, which is logged. The queue has
        no bound of its own: each stream has one job at a time. Raises `RuntimeError` after the end."""
        if self._closed:
            raise RuntimeError("the decode threads have ended")
        self._jobs.put(_Job(work, arguments, done, asyncio.get_running_loop()))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                result = job.work(*job.arguments)
            except Exception:
                logger.exception("decoding failed")
                result = None
            try:
                job.loop.call_soon_threadsafe(job.done, result)
            except RuntimeError:
                logger.debug("a decoded frame came after the end of its event loop")
            del job, result  # else the picture would stay until the next job
