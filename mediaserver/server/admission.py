"""Decides whether new clients are admitted; if not, gives the reason and when to try again."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from enum import StrEnum

from mediaserver.server.load import Gate
from mediaserver.server.memory import Memory
from mediaserver.server.scoreboard import LoadPart, Row
from mediaserver.session.load_watch import LoadWatch
from mediaserver.session.shortage import Shortage
from signaling.messages import EndReason

_RETRY_S = 10
"""Upper bound of the retry hint in seconds, as a place may be free before a pause is over."""

_STARTING = "starting"
"""Code for clients: all places are taken, and another node is starting."""

logger = logging.getLogger(__name__)


class RefusalReason(StrEnum):
    """Why new clients are refused."""

    LOADING = "loading"
    FAILED = "failed"
    DRAINING = "draining"
    FULL = "full"
    MEMORY = "memory"
    SOCKETS = "sockets"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is refused now, and when to try again."""

    reason: RefusalReason
    retry_after_s: int = _RETRY_S
    end: EndReason = EndReason.SERVER_FULL
    """End reason for a client that was admitted to resume a session, and has none here."""
    expected_s: int | None = None
    """Seconds until another node has places; ``None`` if none is expected."""

    @property
    def code(self) -> str:
        """The code that is sent to clients."""
        return self.reason if self.expected_s is None else _STARTING


class Admission:
    """Decides for one worker, by the state of all workers and by its own load.

    If places run short, another node is started, which takes ``node_start_s`` seconds; 0 if nodes are not
    started. This node's shortage stands for that of all, as a proxy tries each node before it refuses.
    """

    def __init__(
        self, row: Row, load_watch: LoadWatch, shortage: Shortage, node_start_s: float = 0.0
    ) -> None:
        self._row = row
        self._node_start_s = node_start_s
        self._short_since: float | None = None
        self._load_watch = load_watch
        self._shortage = shortage
        self._memory = Memory.of_this_process()
        self._gate = Gate()

    @property
    def is_draining(self) -> bool:
        """Whether new sessions are refused, as the server is ending or was paused."""
        return self._row.pause_left_s > 0 or self._row.board.ends_at is not None

    def refusal(self, *, comes_back: bool) -> Refusal | None:
        """Returns why a client is refused, or ``None``. ``comes_back``: it claims a session here."""
        ends_at = self._row.board.ends_at
        goes_on = ends_at is None or time.monotonic() < ends_at
        if comes_back and goes_on:
            return self._shortage_of_machine()
        return self._shortage_of_machine() or self._draining() or self._shortage_of_places()

    def _shortage_of_machine(self) -> Refusal | None:
        if self._memory.is_short(time.monotonic()):
            return Refusal(RefusalReason.MEMORY)
        return Refusal(RefusalReason.SOCKETS) if self._shortage.words is not None else None

    def _draining(self) -> Refusal | None:
        if self._row.board.ends_at is not None:
            return Refusal(RefusalReason.DRAINING, retry_after_s=1, end=EndReason.MOVED)
        pause_s = self._row.pause_left_s
        if pause_s <= 0:
            return None
        return Refusal(RefusalReason.DRAINING, min(math.ceil(pause_s), _RETRY_S), EndReason.SERVER_SHUTDOWN)

    def _shortage_of_places(self) -> Refusal | None:
        now = time.monotonic()
        if self._row.board.places_taken >= self._row.board.places:
            return Refusal(RefusalReason.FULL, expected_s=self._expected_s(now))
        if self._gate.is_closed or self._load_watch.is_refusing:
            return Refusal(RefusalReason.OVERLOADED, expected_s=self._expected_s(now))
        self._short_since = None
        return None

    def _expected_s(self, now: float) -> int | None:
        """Seconds until the node that is being started has places; ``None`` after that time."""
        if self._short_since is None:
            self._short_since = now
        left_s = self._node_start_s - (now - self._short_since)
        return math.ceil(left_s) if left_s > 0 else None

    def look(self, own_event_loop: float) -> None:
        """Opens or closes the gate. Call it after each measurement of the load."""
        load = max(self._row.board.load[LoadPart.PROCESSOR], own_event_loop)
        if self._gate.look(load):
            words = "new sessions are refused" if self._gate.is_closed else "new sessions are admitted again"
            logger.warning("load %.2f: %s", load, words)
