"""The parent of several workers: forks them, restarts those that die or hang, and ends them together.

It runs no event loop and no threads. So it can fork at any time, and does not hang with its workers.
(OpenBLAS, which numpy imports, has threads, but ends them before each fork.)
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
"""Time for which an event loop may hang, unless systemd's watchdog sets another."""
_START_S = 60.0
"""Time until the first beat of a worker, which loads libraries, maybe from a cold disk."""
_STABLE_S = 10.0
"""A worker that ends sooner than this has failed at once."""
_MAX_FAILURES = 5
_FIRST_PAUSE_S = 0.2
_FORK_PAUSE_S = 1.0
"""Pause after a refused fork, which does not count as a failure of the worker."""
_STOP_TIMEOUT_S = 10.0
"""Time for workers to stop. They drain for 3 s at most, so a longer stop is a hang."""

_MOVES_S = 90.0
"""Time after the deadline of a drain, in which workers ask their clients to move, within a minute."""

_PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Worker:
    """The state of one worker, over restarts of its process."""

    row: Row
    pid: int | None = None
    started: float = 0.0
    start_at: float = 0.0
    """Earliest start of the next process, in `time.monotonic` seconds."""
    failures: int = 0
    """Number of processes in a row that failed at once."""


class Supervisor:
    """Runs ``work`` in one process for each row of ``board``. It is called with the row.

    Its result is the exit status. ``ended`` is called with the number of each worker whose process has ended.
    After SIGTERM, sessions may go on for ``drain_s`` seconds.
    """

    def __init__(
        self,
        board: Scoreboard,
        work: Callable[[Row], int],
        ended: Callable[[int], None],
        notifier: Notifier,
        drain_s: float = 0.0,
    ) -> None:
        self._drain_s = drain_s
        self._board = board
        self._work = work
        self._ended = ended
        self._notifier = notifier
        self._silence_s = notifier.watchdog_s or _SILENCE_S
        self._looked_at = time.monotonic()
        self._workers = [_Worker(row) for row in board.rows]

    def run(self) -> int:
        """Runs the workers, and ends them all before it returns.

        Returns 0 after SIGTERM or SIGINT, and 1 if a worker failed at once five times in a row.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            return self._watch(before)
        finally:
            self._end_all()
            while signal.sigtimedwait(_STOP, 0) is not None:
                pass  # a further signal must not end this process before it has cleaned up
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _watch(self, mask: set[int | signal.Signals]) -> int:
        while not self._has_drained:
            for worker in self._workers:
                if worker.pid is None and time.monotonic() >= worker.start_at and not self._is_draining:
                    self._start(worker, mask)
            self._notifier.beat(ready=self._all_ready, status=self._status)
            heard = signal.sigtimedwait(_HEARD, self._patience_s)
            if heard is not None and heard.si_signo in _STOP:
                if heard.si_signo != signal.SIGTERM or self._is_draining or self._drain_s == 0:
                    logger.info("stopping", extra=fields(signal=signal.Signals(heard.si_signo).name))
                    return 0
                self._drain()
            self._reap()
            self._kill_hung()
            if any(worker.failures >= _MAX_FAILURES for worker in self._workers) and not self._is_draining:
                logger.error("giving up: a worker failed at once %d times in a row", _MAX_FAILURES)
                return 1
        return 0

    def _drain(self) -> None:
        """Refuses new sessions. Each worker ends after its last session."""
        logger.info("draining", extra=fields(sessions=self._board.sessions, seconds=self._drain_s))
        self._board.end_by(time.monotonic() + self._drain_s)
        self._signal_all(signal.SIGTERM)

    @property
    def _is_draining(self) -> bool:
        return self._board.ends_at is not None

    @property
    def _has_drained(self) -> bool:
        """Whether all workers have ended after a drain, or the time for it is over."""
        ends_at = self._board.ends_at
        if ends_at is None:
            return False
        is_late = time.monotonic() > ends_at + _MOVES_S
        return is_late or all(worker.pid is None for worker in self._workers)

    @property
    def _patience_s(self) -> float:
        """Seconds to wait for a signal, until the next beat or the next start of a worker."""
        now = time.monotonic()
        idle = [] if self._is_draining else [worker for worker in self._workers if worker.pid is None]
        starts = [max(0.0, worker.start_at - now) for worker in idle]
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
        except OSError as exc:  # out of processes or memory; the other workers go on
            logger.error("no worker could be started: %s", exc.strerror)
            worker.start_at = time.monotonic() + _FORK_PAUSE_S
            return
        if pid == 0:
            _become_worker(parent, mask, lambda: self._work(worker.row))
        worker.pid = pid
        logger.info("worker started", extra=fields(worker=worker.row.worker, pid=pid))

    def _kill_hung(self) -> None:
        """Kills workers whose event loop hangs, as it does not react to SIGTERM."""
        now = time.monotonic()
        before, self._looked_at = self._looked_at, now
        if now - before > self._silence_s / 2:  # all processes were suspended, as by Ctrl-Z
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
        """Handles processes that have ended, and sets the time of their restart."""
        for worker in self._workers:
            status = None if worker.pid is None else _ended_with(worker.pid)
            if status is None:
                continue
            failed_at_once = time.monotonic() - worker.started < _STABLE_S
            worker.failures = worker.failures + 1 if failed_at_once else 0
            pause_s = _FIRST_PAUSE_S * 2 ** (worker.failures - 1) if failed_at_once else 0.0
            worker.start_at = time.monotonic() + pause_s
            if self._is_draining:
                logger.info("worker ended", extra=fields(worker=worker.row.worker, by=status))
            else:
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
        """Asks all workers to end, waits for 10 s at most, then kills the rest."""
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
        """Handles processes that have ended, and returns whether any is left."""
        for worker in self._workers:
            if worker.pid is not None and _ended_with(worker.pid) is not None:
                self._let_go(worker)
        return any(worker.pid is not None for worker in self._workers)


def _ended_with(pid: int) -> str | None:
    """Returns how a child ended, as text; ``None`` while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended == 0:
        return None
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"status {os.WEXITSTATUS(status)}"


def _become_worker(parent: int, mask: set[int | signal.Signals], work: Callable[[], int]) -> None:
    """Runs ``work`` in a forked process, then ends the process without cleaning up the parent's objects."""
    status = 1
    try:
        _end_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = work()
    except KeyboardInterrupt:
        status = 0  # Ctrl-C reaches the process group, maybe before this worker handles the signal
    except BaseException:
        logger.exception("worker failed")
    finally:
        with contextlib.suppress(OSError, ValueError):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _end_with(parent: int) -> None:
    """Makes the kernel send this process SIGTERM when its parent dies (prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        raise SystemExit("the parent has died already")
