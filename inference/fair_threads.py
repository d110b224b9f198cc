"""Threads that serve many sessions, fairly by what their work really costs.

Of the jobs that wait, that of the session that has used least comes next. Sessions whose jobs take long, or
that have not had one yet, have half of the threads at most, all of them together: a job cannot be
interrupted, so clients that send pictures as costly as they can would otherwise hold all threads.
"""

from __future__ import annotations

import asyncio
import logging
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

_LONG_S = 0.02
"""A job that takes longer than this is long: several frames of an ordinary picture."""
_GAIN = 0.3
"""Weight of the last job in what a session's jobs usually take."""

logger = logging.getLogger(__name__)


class _Job(NamedTuple):
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    done: Callable[[Any, BaseException | None], None]
    """Gets the result, or what was raised; in the thread."""


class Lane(Executor):
    """The way of one session into `FairThreads`: its jobs begin in the order in which they came."""

    def __init__(self, threads: FairThreads, account: Account) -> None:
        self.account = account
        self._threads = threads
        self._jobs: deque[_Job] = deque()
        self._usual_s: float | None = None

    def submit(self, work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """As `concurrent.futures.Executor.submit`. Raises `RuntimeError` after the end of the threads."""
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
        """Calls ``work`` in a thread, then ``done`` with its result on the event loop, where this is called.

        ``done`` gets ``None`` for work that raised, which is logged. Without a future and its locks, which
        would take a twentieth of all the processor time of receiving a stream. Raises `RuntimeError` after
        the end of the threads.
        """
        loop = asyncio.get_running_loop()

        def tell(result: Any, error: BaseException | None) -> None:
            if error is not None:
                logger.error("work in a thread failed", exc_info=error)
            try:
                loop.call_soon_threadsafe(done, result)
            except RuntimeError:
                logger.debug("a result came after the end of its event loop")

        self._add(_Job(work, arguments, tell))

    # --- for `FairThreads`, under its lock ---

    @property
    def is_waiting(self) -> bool:
        """Whether a job has not begun."""
        return bool(self._jobs)

    @property
    def is_long(self) -> bool:
        """Whether its next job may take long."""
        return self._usual_s is None or self._usual_s > _LONG_S

    def next_job(self) -> _Job:
        """Takes out the oldest."""
        return self._jobs.popleft()

    def charge(self, seconds: float) -> None:
        """A job has taken so much processor time."""
        self.account.charge(seconds)
        usual_s = seconds if self._usual_s is None else self._usual_s
        self._usual_s = usual_s + _GAIN * (seconds - usual_s)

    def _add(self, job: _Job) -> None:
        self._jobs.append(job)
        self._threads.wake(self)


class FairThreads:
    """``count`` threads. Use as a context manager: on leaving, what was submitted is still done.

    A lane bounds nothing by itself: each session has one job in it at a time, or a few.
    """

    def __init__(self, count: int, name: str) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Lane] = set()
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        """One for each job: true to look for one, false to end."""
        self._put_off = 0
        """Jobs that nobody looks for until another one has ended."""
        self._long_running = 0
        self._max_long = max(1, count // 2)
        self._threads = [threading.Thread(target=self._run, name=f"{name}_{i}") for i in range(count)]
        self._closed = False

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            self._max_long = len(self._threads)
            put_off, self._put_off = self._put_off, 0
        for wake in [*[True] * put_off, *[False] * len(self._threads)]:
            self._wakes.put(wake)
        for thread in self._threads:
            thread.join()

    def lane(self, account: Account) -> Lane:
        """For one session, which is charged to ``account``."""
        return Lane(self, account)

    def wake(self, lane: Lane) -> None:
        """``lane`` has one more job."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the threads have ended")
            self._waiting.add(lane)
        self._wakes.put(True)

    def _run(self) -> None:
        while self._wakes.get():
            with self._lock:
                lane = self._next_lane()
                if lane is None:
                    self._put_off += 1
                    continue
                job, is_long = lane.next_job(), lane.is_long
                if not lane.is_waiting:
                    self._waiting.discard(lane)
                self._long_running += is_long
            spent_s = _do(job)
            del job  # else its arguments, a picture among them, would stay until the next one
            with self._lock:
                lane.charge(spent_s)
                self._long_running -= is_long
                look_again = self._put_off > 0
                self._put_off -= look_again
            del lane
            if look_again:
                self._wakes.put(True)

    def _next_lane(self) -> Lane | None:
        """Whose job is next; ``None`` while all that wait are long and must."""
        may_be_long = self._long_running < self._max_long
        lanes = [lane for lane in self._waiting if may_be_long or not lane.is_long]
        return min(lanes, key=lambda lane: lane.account.used_s, default=None)


def _do(job: _Job) -> float:
    """Returns the processor seconds that the job took."""
    began = time.thread_time()
    result, error = None, None
    try:
        result = job.work(*job.arguments)
    except BaseException as exc:  # noqa: BLE001 - it goes to who wanted the result
        error = exc
    spent_s = time.thread_time() - began
    job.done(result, error)
    return spent_s
