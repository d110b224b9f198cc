"""Threads shared by many sessions, scheduled fairly by the processor time that their jobs took.

The next job is that of the session with the least processor time. Sessions with long jobs, and new sessions,
run on separate threads of low priority, half as many. A job cannot be interrupted. Without separate threads,
clients that send costly pictures could occupy all threads and starve the models.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

from inference.account import Account

P = ParamSpec("P")
T = TypeVar("T")

_LONG_S = 0.005
"""A job that takes longer than this is long. An ordinary frame takes a fraction of it."""
_LONG_NICENESS = 15
"""Nice value of the threads for long jobs. Beside a busy event loop they get a thirtieth of its share.

On Linux, nice(2) affects the calling thread only.
"""
_LONG_FOR_S = 3.0
"""After a long job, further jobs of that session count as long for this time."""

logger = logging.getLogger(__name__)


class _Job(NamedTuple):
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    done: Callable[[Any, BaseException | None], None]
    """Called in the thread with the result, or with the exception that was raised."""


class Lane(Executor):
    """The queue of one session in `FairThreads`. Jobs begin in the order of their submission."""

    def __init__(self, threads: FairThreads, account: Account) -> None:
        self.account = account
        self._threads = threads
        self._jobs: deque[_Job] = deque()
        self._long_until = float("inf")

    def submit(self, work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """As `concurrent.futures.Executor.submit`. Raises `RuntimeError` if the threads have ended."""
        future: Future[T] = Future()
        whole = partial(work, *arguments, **named)

        def run() -> T | None:
            return whole() if future.set_running_or_notify_cancel() else None

        def settle(result: Any, error: BaseException | None) -> None:
            if not future.cancelled():
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

        self._add(_Job(run, (), settle))
        return future

    def call(self, done: Callable[[Any], None], work: Callable[..., Any], *arguments: object) -> None:
        """Calls ``work`` in a thread, then ``done`` with its result on the calling event loop.

        If ``work`` raises, the exception is logged and ``done`` is called with ``None``. No future is made:
        its locks would take a twentieth of the processor time of receiving a stream. Raises `RuntimeError` if
        the threads have ended.
        """
        loop = asyncio.get_running_loop()

        def tell(result: Any, error: BaseException | None) -> None:
            if error is not None:
                logger.error("work in a thread failed", exc_info=error)
            try:
                loop.call_soon_threadsafe(done, result)
            except RuntimeError:
                logger.debug("result dropped after the end of its event loop")

        self._add(_Job(work, arguments, tell))

    @property
    def is_long(self) -> bool:
        """Whether the next job may take long: after a long job, and before the first."""
        return time.monotonic() < self._long_until

    def _add(self, job: _Job) -> None:
        self._threads.add(self, job)

    # --- for `FairThreads`, under its lock ---

    @property
    def is_waiting(self) -> bool:
        """Whether a job has not begun."""
        return bool(self._jobs)

    def append(self, job: _Job) -> None:
        """Adds ``job`` at the end."""
        self._jobs.append(job)

    def next_job(self) -> _Job:
        """Removes and returns the oldest job."""
        return self._jobs.popleft()

    def charge(self, seconds: float) -> None:
        """Adds the processor seconds of a job that has ended."""
        self.account.charge(seconds)
        self._threads.used_s += seconds
        now = time.monotonic()
        if seconds > _LONG_S:
            self._long_until = now + _LONG_FOR_S
        elif self._long_until == float("inf"):  # its first job
            self._long_until = now


class _Crew:
    """A group of threads of one priority, and the lanes that wait for it."""

    def __init__(self, lock: threading.Lock, names: list[str], niceness: int) -> None:
        self.waiting: set[Lane] = set()
        self._lock = lock
        self._niceness = niceness
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        """True for each job to take, false for each thread to end."""
        self._threads = [threading.Thread(target=self._run, name=name) for name in names]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Wakes one thread for one more job."""
        self._wakes.put(True)

    def end(self) -> None:
        """Returns when all jobs are done."""
        for _ in self._threads:
            self._wakes.put(False)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        os.nice(self._niceness)
        while self._wakes.get():
            with self._lock:
                lane = min(self.waiting, key=lambda lane: lane.account.used_s)
                job = lane.next_job()
                if not lane.is_waiting:
                    self.waiting.discard(lane)
            spent_s = _do(job)
            del job  # else its arguments, a picture among them, would stay until the next one
            with self._lock:
                lane.charge(spent_s)
            del lane


class FairThreads:
    """``count`` threads, and half as many more for long jobs.

    Use as a context manager: leaving it waits until all submitted jobs are done. The length of a lane is not
    bounded here; callers submit few jobs at a time.
    """

    def __init__(self, count: int, name: str) -> None:
        self.used_s = 0.0
        """Processor seconds that all jobs so far have taken."""
        self._lock = threading.Lock()
        self._short = _Crew(self._lock, [f"{name}_{i}" for i in range(count)], niceness=0)
        many = range(max(1, count // 2))
        self._long = _Crew(self._lock, [f"{name}_long_{i}" for i in many], _LONG_NICENESS)
        self._closed = False

    def __enter__(self) -> Self:
        for crew in (self._short, self._long):
            crew.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
        for crew in (self._short, self._long):
            crew.end()

    def lane(self, account: Account) -> Lane:
        """Returns a queue for one session, whose jobs are charged to ``account``."""
        return Lane(self, account)

    def add(self, lane: Lane, job: _Job) -> None:
        """Adds a job to ``lane``. All waiting jobs of a lane run on the same group of threads, in order."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the threads have ended")
            crew = self._crew(lane)
            lane.append(job)
            crew.waiting.add(lane)
        crew.wake()

    def _crew(self, lane: Lane) -> _Crew:
        for crew in (self._short, self._long):
            if lane in crew.waiting:
                return crew
        return self._long if lane.is_long else self._short


def _do(job: _Job) -> float:
    """Returns the processor seconds that the job took."""
    began = time.thread_time()
    result, error = None, None
    try:
        result = job.work(*job.arguments)
    except BaseException as exc:  # noqa: BLE001 - handed to the job's submitter
        error = exc
    spent_s = time.thread_time() - began
    job.done(result, error)
    return spent_s
