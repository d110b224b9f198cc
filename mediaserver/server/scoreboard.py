"""What the workers of one server know of each other: numbers in memory that they share, each worker's own.

The parent makes the scoreboard and forks; each worker then writes its own numbers and reads all. What must
not change between question and act is done under a lock, which the kernel frees should its holder die. A
server without workers has a scoreboard of one row, shared with nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import IntEnum

from signaling.messages import EndReason


class _Column(IntEnum):
    """Places in a row. All are numbers, so that each is written in one piece."""

    SESSIONS = 0
    READY = 1
    BEAT = 2
    """When the event loop was last seen to turn, `time.monotonic` seconds: one clock for all processes."""


_PAUSED_UNTIL = 0
"""Before the rows, one number for all: until when no new sessions are taken, `time.monotonic` seconds."""

_FREE = 0.0
"""Stands in a place that nobody has."""
_ANONYMOUS = 1.0
"""Stands in a place whose client needed no token."""


class Scoreboard:
    """A row of numbers for each worker, then ``places`` for the sessions of each. Make it with `alone` or
    `shared`."""

    def __init__(
        self,
        workers: int,
        places: int,
        numbers: memoryview[float],
        lock: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.places = places
        self.rows = [Row(self, number) for number in range(workers)]
        self.numbers = numbers
        self.lock = lock

    def total(self, column: _Column) -> int:
        """The sum of a column over all workers."""
        return int(sum(self.numbers[row.at(column)] for row in self.rows))

    @property
    def sessions(self) -> int:
        """Sessions that live: with a client, or waiting for a lost one to come back."""
        return self.total(_Column.SESSIONS)

    @property
    def holders(self) -> list[float]:
        """Who has a place now, in all workers: a number for each session that has a client."""
        everywhere = self.numbers[self.rows[0].places.start : self.rows[-1].places.stop]
        return [holder for holder in everywhere if holder != _FREE]

    @property
    def places_taken(self) -> int:
        """Sessions that have a client now."""
        return len(self.holders)

    @property
    def workers_ready(self) -> int:
        """Workers whose models answer."""
        return self.total(_Column.READY)


class Row:
    """What one worker writes, and what it asks of all."""

    def __init__(self, board: Scoreboard, worker: int) -> None:
        self.worker = worker
        self.board = board

    def at(self, column: _Column) -> int:
        """Where a number of this row lies."""
        return 1 + self.worker * len(_Column) + column

    @property
    def places(self) -> range:
        """Where the places of this worker lie."""
        first = 1 + len(self.board.rows) * len(_Column) + self.worker * self.board.places
        return range(first, first + self.board.places)

    def clear(self) -> None:
        """Nothing runs, nothing is ready: before a worker starts, and when it has ended."""
        for at in (*map(self.at, _Column), *self.places):
            self.board.numbers[at] = 0.0
        self.beat()

    def beat(self) -> None:
        """The event loop turns."""
        self.board.numbers[self.at(_Column.BEAT)] = time.monotonic()

    def silent_s(self, now: float) -> float:
        """Seconds since the last `beat`."""
        return now - self.board.numbers[self.at(_Column.BEAT)]

    @property
    def ready(self) -> bool:
        """Whether this worker's models answer."""
        return self.board.numbers[self.at(_Column.READY)] != 0.0

    @ready.setter
    def ready(self, ready: bool) -> None:
        self.board.numbers[self.at(_Column.READY)] = float(ready)

    @property
    def opens_early(self) -> bool:
        """Whether this worker listens before its models answer, to say so (503).

        One does while no other can serve. The others come when they are ready: where one serves already, no
        client should meet another that still loads.
        """
        return self.worker == 0 and self.board.workers_ready == 0

    def take_place(self, subject: str | None, limit: int) -> EndReason | None:
        """Takes a place for a session with a client. Returns why there is none: all are taken, or ``limit``
        of them by ``subject``, where there is one."""
        holder = _holder(subject)
        with self.board.lock():
            holders = self.board.holders
            if len(holders) >= self.board.places:
                return EndReason.SERVER_FULL
            if subject is not None and holders.count(holder) >= limit:
                return EndReason.TOO_MANY_SESSIONS
            self.board.numbers[self._place_of(_FREE)] = holder
            return None

    def free_place(self, subject: str | None) -> None:
        """Gives a place back that was taken here for ``subject``."""
        self.board.numbers[self._place_of(_holder(subject))] = _FREE

    def _place_of(self, holder: float) -> int:
        own = self.places
        return own.start + list(self.board.numbers[own.start : own.stop]).index(holder)

    def begin_session(self) -> bool:
        """Counts one more session; false, and not counted, while no new ones are taken."""
        with self.board.lock():
            if self.pause_left_s > 0:
                return False
            self.board.numbers[self.at(_Column.SESSIONS)] += 1
            return True

    def end_session(self) -> None:
        """A session that was counted is over."""
        self.board.numbers[self.at(_Column.SESSIONS)] -= 1

    @property
    def pause_left_s(self) -> float:
        """For how many seconds no worker takes new sessions; not above 0 where they do."""
        return self.board.numbers[_PAUSED_UNTIL] - time.monotonic()

    def pause(self, seconds: float, *, if_idle: bool) -> bool:
        """No worker takes new sessions for so long; a later call replaces the time.

        With ``if_idle`` it does nothing while a session lives in any worker, and returns false. Question and
        act are one step: nobody slips in between.
        """
        with self.board.lock():
            if if_idle and self.board.sessions:
                return False
            self.board.numbers[_PAUSED_UNTIL] = time.monotonic() + seconds
            return True


def alone(places: int) -> Scoreboard:
    """For a server of one process: its event loop does one thing at a time, so there is nothing to lock."""
    numbers = memoryview(bytearray(_bytes(1, places))).cast("d")
    return Scoreboard(1, places, numbers, contextlib.nullcontext)


@contextlib.contextmanager
def shared(workers: int, places: int) -> Iterator[Scoreboard]:
    """For processes that are forked inside the ``with`` block."""
    file = os.memfd_create("mediaserver-scoreboard", os.MFD_CLOEXEC)
    size = _bytes(workers, places)
    try:
        os.ftruncate(file, size)

        @contextlib.contextmanager
        def lock() -> Iterator[None]:
            # fcntl(2): held by the process, freed when it dies. For microseconds: the event loop may wait.
            fcntl.lockf(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(file, fcntl.LOCK_UN)

        with mmap.mmap(file, size) as memory, memoryview(memory).cast("d") as numbers:
            yield Scoreboard(workers, places, numbers, lock)
    finally:
        os.close(file)


def _bytes(workers: int, places: int) -> int:
    """One worker may have all the places."""
    return 8 * (1 + workers * (len(_Column) + places))


def _holder(subject: str | None) -> float:
    """What stands for a subject in its places. 48 bits: a double holds them exactly."""
    if subject is None:
        return _ANONYMOUS
    return 2.0 + int.from_bytes(hashlib.blake2b(subject.encode(), digest_size=6).digest())
