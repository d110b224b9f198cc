"""The parent of several workers: forks them, starts again what dies or hangs, and ends them together.

It runs no event loop and no threads, so that it can fork at any time and cannot hang with its workers.
(numpy's OpenBLAS has threads when it is imported, and ends them by itself before each fork.)
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from mediaserver.server.scoreboard import Row, Scoreboard
from mediaserver.server.systemd import Notifier
from mediaserver.telemetry.logs import fields

_STOP = (signal.SIGTERM, signal.SIGINT)
_HEARD = frozenset({*_STOP, signal.SIGCHLD})

_SILENCE_S = 10.0
"""How long an event loop may stand still, where systemd's watchdog does not say it."""
_START_S = 60.0
"""How long a worker may take to the first turn of its loop: it loads libraries, maybe from a cold disk."""
_STABLE_S = 10.0
"""A worker that ends sooner than this has failed at once."""
_MAX_FAILURES = 5
_FIRST_PAUSE_S = 0.2
_FORK_PAUSE_S = 1.0
"""Before a fork that the machine refused is tried again: no failure of the worker, however often."""
_STOP_TIMEOUT_S = 10.0
"""A worker drains for 3 s at the most; what still runs after this hangs."""

_PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Worker:
    """A place for one process after another."""

    row: Row
    pid: int | None = None
    started: float = 0.0
    start_at: float = 0.0
    """When the next process may start, `time.monotonic` seconds."""
    failures: int = 0
    """Processes in a row that failed at once."""


class Supervisor:
    """Runs ``work`` in one process for each row of ``board``; it gets its row and returns the exit status.

    ``ended`` is told the number of each worker whose process has ended.
    """

    def __init__(
        self,
        board: Scoreboard,
        work: Callable[[Row], int],
        ended: Callable[[int], None],
        notifier: Notifier,
    ) -> None:
        self._board = board
        self._work = work
        self._ended = ended
        self._notifier = notifier
        self._silence_s = notifier.watchdog_s or _SILENCE_S
        self._looked_at = time.monotonic()
        self._workers = [_Worker(row) for row in board.rows]

    def run(self) -> int:
        """Until SIGTERM or SIGINT (0), or a worker fails at once again and again (1). No process is left."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            return self._watch(before)
        finally:
            self._end_all()
            while signal.sigtimedwait(_STOP, 0) is not None:
                pass  # asked again meanwhile; it would end this process before it has cleaned up
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _watch(self, mask: set[int | signal.Signals]) -> int:
        while True:
            for worker in self._workers:
                if worker.pid is None and time.monotonic() >= worker.start_at:
                    self._start(worker, mask)
            self._notifier.beat(ready=self._all_ready, status=self._status)
            heard = signal.sigtimedwait(_HEARD, self._patience_s)
            if heard is not None and heard.si_signo in _STOP:
                logger.info("stopping", extra=fields(signal=signal.Signals(heard.si_signo).name))
                return 0
            self._reap()
            self._kill_hung()
            if any(worker.failures >= _MAX_FAILURES for worker in self._workers):
                logger.error("giving up: a worker failed at once %d times in a row", _MAX_FAILURES)
                return 1

    @property
    def _patience_s(self) -> float:
        """Seconds until there may be something to do that no signal tells of."""
        now = time.monotonic()
        starts = [max(0.0, worker.start_at - now) for worker in self._workers if worker.pid is None]
        return min([self._notifier.interval_s, *starts])

    @property
    def _all_ready(self) -> bool:
        return self._board.workers_ready == len(self._workers)

    @property
    def _status(self) -> str:
        board = self._board
        return f"{board.workers_ready} of {len(self._workers)} workers ready, {board.sessions} sessions"

    def _start(self, worker: _Worker, mask: set[int | signal.Signals]) -> None:
        worker.row.clear()
        worker.started = time.monotonic()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as exc:  # the machine has no more for now; the other workers go on
            logger.error("no worker could be started: %s", exc.strerror)
            worker.start_at = time.monotonic() + _FORK_PAUSE_S
            return
        if pid == 0:
            _become_worker(parent, mask, lambda: self._work(worker.row))
        worker.pid = pid
        logger.info("worker started", extra=fields(worker=worker.row.worker, pid=pid))

    def _kill_hung(self) -> None:
        """A loop that stands still serves nobody and hears no SIGTERM; the other workers' sessions go on."""
        now = time.monotonic()
        before, self._looked_at = self._looked_at, now
        if now - before > self._silence_s / 2:  # all stood still: Ctrl-Z, or a container that was paused
            for worker in self._workers:
                worker.row.beat()
            return
        for worker in self._workers:
            silent_s = worker.row.silent_s(now)
            has_begun = silent_s < now - worker.started
            if worker.pid is not None and silent_s > (self._silence_s if has_begun else _START_S):
                logger.error(
                    "worker hangs, killed", extra=fields(worker=worker.row.worker, silent_s=silent_s)
                )
                os.kill(worker.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Takes note of processes that have ended, and says when the next may start."""
        for worker in self._workers:
            status = None if worker.pid is None else _ended_with(worker.pid)
            if status is None:
                continue
            failed_at_once = time.monotonic() - worker.started < _STABLE_S
            worker.failures = worker.failures + 1 if failed_at_once else 0
            pause_s = _FIRST_PAUSE_S * 2 ** (worker.failures - 1) if failed_at_once else 0.0
            worker.start_at = time.monotonic() + pause_s
            logger.error(
                "worker ended, starting it again",
                extra=fields(worker=worker.row.worker, pid=worker.pid, by=status, pause_s=pause_s),
            )
            self._let_go(worker)

    def _let_go(self, worker: _Worker) -> None:
        worker.pid = None
        worker.row.clear()
        self._ended(worker.row.worker)

    def _end_all(self) -> None:
        """Asks all to end, waits for a bounded time, kills the rest."""
        self._notifier.stopping()
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while self._forget_ended() and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
        if self._forget_ended():
            logger.error("workers did not end within %g s, killed", _STOP_TIMEOUT_S)
            self._signal_all(signal.SIGKILL)
            while self._forget_ended():
                signal.sigtimedwait({signal.SIGCHLD}, 0.1)

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid is not None:
                os.kill(worker.pid, number)

    def _forget_ended(self) -> bool:
        """Whether a process is still left."""
        for worker in self._workers:
            if worker.pid is not None and _ended_with(worker.pid) is not None:
                self._let_go(worker)
        return any(worker.pid is not None for worker in self._workers)


def _ended_with(pid: int) -> str | None:
    """How a child ended, in words; ``None`` while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended == 0:
        return None
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"status {os.WEXITSTATUS(status)}"


def _become_worker(parent: int, mask: set[int | signal.Signals], work: Callable[[], int]) -> None:
    """Runs ``work`` in a process just forked, then ends it. What the parent holds is not cleaned up here."""
    status = 1
    try:
        _end_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = work()
    except KeyboardInterrupt:
        status = 0  # Ctrl-C reaches the whole process group, this worker before it was ready for it
    except BaseException:
        logger.exception("worker failed")
    finally:
        with contextlib.suppress(OSError, ValueError):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _end_with(parent: int) -> None:
    """The kernel sends this process SIGTERM when its parent dies, however that happens (prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        raise SystemExit("the parent has died already")
