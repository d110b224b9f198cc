"""The scoreboard: numbers in shared memory by which the workers of one server coordinate.

The parent makes the scoreboard and forks. Each worker writes its own numbers and reads all. Checks and the
actions that depend on them are atomic. The kernel releases their lock if its holder dies. A server
without workers has a scoreboard of one row.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import IntEnum, StrEnum

from mediaserver.server.used_tokens import SIZE, UsedTokens, fingerprint
from signaling.auth import CLOCK_SKEW_S, Bearer
from signaling.messages import EndReason


class _Column(IntEnum):
    """Columns of a row. All are doubles, so each write is atomic."""

    SESSIONS = 0
    READY = 1
    BEAT = 2
    """Last beat of the event loop, in `time.monotonic` seconds, which all processes share."""
    LISTENS = 3
    CONNECTIONS = 4
    """TCP connections that are open, or being passed on to this worker."""
    PROCESSOR = 5
    """This worker's share of `LoadPart.PROCESSOR`."""
    EVENT_LOOP = 6
    FRAME_RATE = 7


class LoadPart(StrEnum):
    """The resources of a server whose load is measured."""

    SESSIONS = "sessions"
    """Share of the places that are taken."""
    PROCESSOR = "processor"
    """Share of the processors in use, without the embedded engine, which uses any time that is left."""
    EVENT_LOOP = "event_loop"
    """Lateness of an event loop as a share of the limit, or its share of a processor if larger."""
    FRAME_RATE = "frame_rate"
    """Unmet demand of sessions: the share of frames not inferred, or of stages reduced in all sessions."""


_PAUSED_UNTIL = 0
"""Index of the end of a pause of new sessions, in `time.monotonic` seconds."""
_COMPLETE = 1
"""Index of the flag that all workers have been ready at once."""
_ENDS_AT = 2
"""Index of the server's deadline, in `time.monotonic` seconds; 0 while it is not ending."""
_SHARED = 3
"""Number of values before the rows."""

_PROMPT_S = 1.0

_FREE = 0.0
"""Value of a free place."""
_ANONYMOUS = 1.0
"""Value of a place whose client needed no token."""


class Scoreboard:
    """A row of numbers for each worker, then ``places`` for the sessions of each, then the used tokens.

    Make it with `alone` or `shared`.
    """

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
        self.used_tokens = UsedTokens(numbers, len(numbers) - SIZE)
        self.lock = lock

    def total(self, column: _Column) -> int:
        """The sum of a column over all workers."""
        return int(sum(self.numbers[row.at(column)] for row in self.rows))

    @property
    def sessions(self) -> int:
        """Number of sessions in all workers: with a client, or waiting for it."""
        return self.total(_Column.SESSIONS)

    @property
    def holders(self) -> list[float]:
        """The holders of places in all workers: a number for each session with a client."""
        everywhere = self.numbers[self.rows[0].places.start : self.rows[-1].places.stop]
        return [holder for holder in everywhere if holder != _FREE]

    @property
    def places_taken(self) -> int:
        """Number of sessions with a client."""
        return len(self.holders)

    @property
    def workers_ready(self) -> int:
        """Number of workers whose models can be run."""
        return self.total(_Column.READY)

    @property
    def is_complete(self) -> bool:
        """Whether all workers have been ready, and have listened, at the same time since the start.

        A worker that dies later is restarted, and the others serve meanwhile.
        """
        if self.workers_ready == self.total(_Column.LISTENS) == len(self.rows):
            self.numbers[_COMPLETE] = 1.0
        return self.numbers[_COMPLETE] != 0.0

    @property
    def ends_at(self) -> float | None:
        """Deadline of sessions in `time.monotonic` seconds; ``None`` before `end_by`."""
        return self.numbers[_ENDS_AT] or None

    def end_by(self, deadline: float) -> None:
        """Begins the end of the server: no worker admits new sessions from now on."""
        with self.lock():
            self.numbers[_ENDS_AT] = deadline

    @property
    def load(self) -> dict[LoadPart, float]:
        """The load of each resource: 0 is idle, 1 is full; overload is a little above 1."""

        def most(column: _Column) -> float:
            return max(self.numbers[row.at(column)] for row in self.rows)

        return {
            LoadPart.SESSIONS: self.places_taken / self.places,
            LoadPart.PROCESSOR: sum(self.numbers[row.at(_Column.PROCESSOR)] for row in self.rows),
            LoadPart.EVENT_LOOP: most(_Column.EVENT_LOOP),
            LoadPart.FRAME_RATE: most(_Column.FRAME_RATE),
        }


class Row:
    """The row of one worker, and its operations on the scoreboard."""

    def __init__(self, board: Scoreboard, worker: int) -> None:
        self.worker = worker
        self.board = board

    def at(self, column: _Column) -> int:
        """Index of a column of this row."""
        return _SHARED + self.worker * len(_Column) + column

    @property
    def places(self) -> range:
        """Indices of this worker's places."""
        first = _SHARED + len(self.board.rows) * len(_Column) + self.worker * self.board.places
        return range(first, first + self.board.places)

    def clear(self) -> None:
        """Resets the row, before a worker starts and after it has ended."""
        for at in (*map(self.at, _Column), *self.places):
            self.board.numbers[at] = 0.0
        self.beat()

    def beat(self) -> None:
        """Records that the event loop runs."""
        self.board.numbers[self.at(_Column.BEAT)] = time.monotonic()

    def silent_s(self, now: float) -> float:
        """Seconds since the last `beat`."""
        return now - self.board.numbers[self.at(_Column.BEAT)]

    @property
    def ready(self) -> bool:
        """Whether this worker's models can be run."""
        return self.board.numbers[self.at(_Column.READY)] != 0.0

    @ready.setter
    def ready(self, ready: bool) -> None:
        self.board.numbers[self.at(_Column.READY)] = float(ready)

    def tell_load(self, processor: float, event_loop: float, frame_rate: float) -> None:
        """Sets this worker's part of `Scoreboard.load`."""
        self.board.numbers[self.at(_Column.PROCESSOR)] = processor
        self.board.numbers[self.at(_Column.EVENT_LOOP)] = event_loop
        self.board.numbers[self.at(_Column.FRAME_RATE)] = frame_rate

    def listens(self) -> None:
        """Records that this worker accepts connections."""
        self.board.numbers[self.at(_Column.LISTENS)] = 1.0

    def take_connection(self) -> Row:
        """Chooses the worker with the fewest connections for an accepted connection, and counts it there.

        If there is a tie, this worker keeps the connection. A worker that is not ready, or without a beat for
        1 s, gets none from others.
        """
        with self.board.lock():
            now = time.monotonic()
            able = [row for row in self.board.rows if row.ready and row.silent_s(now) < _PROMPT_S]
            count = self.board.numbers
            chosen = min([self, *able], key=lambda row: (count[row.at(_Column.CONNECTIONS)], row is not self))
            count[chosen.at(_Column.CONNECTIONS)] += 1
            return chosen

    def keep_connection(self, chosen: Row) -> None:
        """Counts a connection here that could not be passed on to ``chosen``."""
        with self.board.lock():
            self.board.numbers[chosen.at(_Column.CONNECTIONS)] -= 1
            self.board.numbers[self.at(_Column.CONNECTIONS)] += 1

    def end_connection(self) -> None:
        """Counts the end of a connection.

        The count does not fall below 0. It was reset if the connection was passed on to a worker that died
        and was restarted.
        """
        with self.board.lock():
            at = self.at(_Column.CONNECTIONS)
            self.board.numbers[at] = max(0.0, self.board.numbers[at] - 1)

    @property
    def opens_early(self) -> bool:
        """Whether this worker listens before its models can be run, to answer with 503.

        Worker 0 does while no worker is ready. The others listen when they are ready, so that clients are not
        refused while another worker can serve.
        """
        return self.worker == 0 and self.board.workers_ready == 0

    def take_place(self, subject: str | None, limit: int) -> EndReason | None:
        """Takes a place for a session with a client, or returns the reason why there is none.

        All places are taken, or ``subject``, if not ``None``, has ``limit`` of them.
        """
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
        """Frees a place that this worker took for ``subject``."""
        self.board.numbers[self._place_of(_holder(subject))] = _FREE

    def use_token(self, bearer: Bearer) -> bool:
        """Marks a token as used; returns false if it was used before.

        A token without an id may be used repeatedly.
        """
        if bearer.token_id is None:
            return True
        with self.board.lock():
            until = bearer.expires + CLOCK_SKEW_S
            return self.board.used_tokens.use(bearer.token_id, until, time.time())

    def forget_token(self, bearer: Bearer) -> None:
        """Makes the token usable again, as no session was begun."""
        if bearer.token_id is not None:
            with self.board.lock():
                self.board.used_tokens.forget(bearer.token_id)

    def _place_of(self, holder: float) -> int:
        own = self.places
        return own.start + list(self.board.numbers[own.start : own.stop]).index(holder)

    def begin_session(self) -> bool:
        """Counts one more session. Returns false, without counting, while new sessions are refused."""
        with self.board.lock():
            if self.pause_left_s > 0 or self.board.ends_at is not None:
                return False
            self.board.numbers[self.at(_Column.SESSIONS)] += 1
            return True

    def end_session(self) -> None:
        """Counts the end of a session."""
        self.board.numbers[self.at(_Column.SESSIONS)] -= 1

    @property
    def pause_left_s(self) -> float:
        """Seconds for which new sessions are still paused; 0 or less without a pause."""
        return self.board.numbers[_PAUSED_UNTIL] - time.monotonic()

    def pause(self, seconds: float, *, if_idle: bool) -> bool:
        """Pauses new sessions in all workers for ``seconds``; a later call replaces the time.

        With ``if_idle`` it does nothing if any worker has a session, and returns false. The idle check and
        the pause are atomic.
        """
        with self.board.lock():
            if if_idle and self.board.sessions:
                return False
            self.board.numbers[_PAUSED_UNTIL] = time.monotonic() + seconds
            return True


def alone(places: int) -> Scoreboard:
    """Makes a scoreboard for a server of one process, which needs no lock."""
    numbers = memoryview(bytearray(_bytes(1, places))).cast("d")
    return Scoreboard(1, places, numbers, contextlib.nullcontext)


@contextlib.contextmanager
def shared(workers: int, places: int) -> Iterator[Scoreboard]:
    """Makes a scoreboard for processes that are forked in the block."""
    file = os.memfd_create("mediaserver-scoreboard", os.MFD_CLOEXEC)
    size = _bytes(workers, places)
    try:
        os.ftruncate(file, size)

        @contextlib.contextmanager
        def lock() -> Iterator[None]:
            # fcntl(2): the kernel releases the lock if the process dies. It is held for microseconds only.
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
    """Size of the scoreboard in bytes. Each worker may have all the places."""
    return 8 * (_SHARED + workers * (len(_Column) + places) + SIZE)


def _holder(subject: str | None) -> float:
    """Returns the value of a place that ``subject`` holds."""
    return _ANONYMOUS if subject is None else float(fingerprint(subject))
