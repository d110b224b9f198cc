"""Measures the sessions of this process for `LoadShedding`, and applies its decisions to them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from inference.load_shedding import NEEDED_RATE, ORDER, LoadShedding, SessionLoad, concession
from inference.stages import Stage
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.session import Session
from mediaserver.telemetry.metrics import Metrics

LOOK_S = 2.0
"""Seconds between two measurements. At 10 results a second one more or less changes the rate by 5 %."""

_OBEYS = 0.9
"""A sender at this share of the hinted rate, or above, is taken as limited by the hint."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counters of a session at the time ``at``, in seconds."""

    at: float
    came: int
    inferred: int
    busy_s: float


class LoadWatch:
    """Measures the sessions with a client, except lock-step sessions, which may wait."""

    def __init__(self, registry: SessionRegistry, metrics: Metrics) -> None:
        self._registry = registry
        self._degraded = metrics.stages_degraded
        self._shedding = LoadShedding()
        self._before = WeakKeyDictionary[Session, _Counts]()

    @property
    def load(self) -> float:
        """As `LoadShedding.load`."""
        return self._shedding.load

    @property
    def is_refusing(self) -> bool:
        """Whether new sessions must be refused for the sake of the others."""
        return self._shedding.is_refusing

    def look(self, now: float) -> None:
        """Measures all sessions and reduces their stages. Call it every `LOOK_S`.

        ``now`` is in `time.monotonic` seconds.
        """
        sessions = [session for session in self._registry.connected if not session.every_frame]
        counts = {
            session: _Counts(now, session.sink.received, session.inferred, session.busy_s)
            for session in sessions
        }
        loads = [
            _load(session, self._before[session], counts[session])
            for session in sessions
            if session in self._before
        ]
        self._before = WeakKeyDictionary(counts)
        steps = self._shedding.steps
        self._shedding.observe(now, loads)
        if self._shedding.steps != steps:
            given = ", ".join(self._shedding.given) or "none"
            words = "; new sessions are refused" if self.is_refusing else ""
            logger.warning("stages reduced under load: %s%s", given, words)
        for stage in ORDER:
            self._degraded.labels(stage).set(stage in self._shedding.given)
        for session in sessions:
            session.concede(concession(self._shedding.steps, session.pipeline.options.priority))


def _load(session: Session, before: _Counts, after: _Counts) -> SessionLoad:
    seconds = after.at - before.at
    options = session.pipeline.options
    return SessionLoad(
        _wanted((after.came - before.came) / seconds, session.asked_framerate),
        (after.inferred - before.inferred) / seconds,
        (after.busy_s - before.busy_s) / seconds,
        frozenset(stage for stage in Stage if options.has(stage)),
        options.priority,
    )


def _wanted(came: float, asked_framerate: float | None) -> float:
    """Returns the frames a second that the sender would send without a ``rate`` hint."""
    obeys = asked_framerate is not None and came >= _OBEYS * asked_framerate
    return max(came, NEEDED_RATE) if obeys else came
