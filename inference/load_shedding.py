"""Load shedding: pauses or reduces stages when the processors do not suffice, flow first, detection last.

Pure: time and the sessions' measurements are passed in. Each step reduces one stage in every session, in the
order `ORDER` or in the session's own. Steps are at least 10 s apart, so that the effect of one is measured
before the next.

- If most sessions get less than they need though they are always busy, one more step is taken.
- If most sessions get all they need, with room to spare, for 20 s, one step is taken back.
- If no session sends frames, all steps are taken back.

If a step must be taken again soon after its return, the next return waits twice as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from inference.stages import FRAME_NETWORKS, Stage

ORDER = (Stage.FLOW, Stage.OCR, Stage.SEGMENT, Stage.POSE, Stage.DETECT)
"""Stages in the order in which they are reduced.

Flow and OCR pause. Segmentation and pose run on every second frame. With the last step each session gets
`CAPPED_RATE` results a second at most.
"""
REFUSING = len(ORDER) + 1
"""The last step: new sessions are refused."""
CAPPED_RATE = 8.0
NEEDED_RATE = 10.0
"""Results a second that a session needs. A session that sends fewer frames needs a result for each."""

_SHORT, _ENOUGH = 0.9, 0.92
"""Shares of the needed rate: below the first a session is short, from the second on it has enough.

At `CAPPED_RATE` a session gets 15 or 16 results between two observations.
"""
_BUSY, _EASY = 0.7, 0.6
"""Shares of the time in which a frame of a session is in inference.

Below `_BUSY` a session is slow for a reason of its own. Up to `_EASY` a session with enough results could get
more.
"""
_SPARE = 1.3
"""A session with this multiple of its needed rate has room to spare, too."""

_SHORT_S = 3.0
_INTERVAL_S = 10.0
_PATIENCE_S, _MAX_PATIENCE_S = 20.0, 320.0
_RELAPSE_S = 60.0


@dataclass(frozen=True, slots=True)
class SessionLoad:
    """Measurements of one session since the last observation.

    ``came`` is the rate of frames a second that the sender would send without a ``rate`` hint. ``inferred``
    is the rate of inferred frames. ``busy`` is the share of the time, 0..1, in which a frame was in
    inference. ``stages`` are on; ``priority`` lists stages, most important first.
    """

    came: float
    inferred: float
    busy: float
    stages: frozenset[Stage]
    priority: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Concession:
    """The stages that are reduced in one session."""

    paused: frozenset[Stage] = frozenset()
    halved: frozenset[Stage] = frozenset()
    """Stages that run on every second frame."""
    capped: bool = False
    """Whether the session gets `CAPPED_RATE` results a second at most."""

    def of(self, stages: Iterable[Stage]) -> list[Stage]:
        """Returns those of ``stages`` that are reduced, in the order `ORDER`."""
        lessened = self.paused | self.halved | ({Stage.DETECT} if self.capped else set())
        there = lessened.intersection(stages)
        return [stage for stage in ORDER if stage in there]


def concession(steps: int, priority: Sequence[Stage] = ()) -> Concession:
    """Returns what a session with this ``priority`` loses after ``steps`` steps."""
    given = _order(priority)[:steps]
    capped = steps >= len(ORDER)
    networks = frozenset(given[:-1] if capped else given).intersection(FRAME_NETWORKS)
    return Concession(frozenset(given) - FRAME_NETWORKS.keys(), networks, capped)


class LoadShedding:
    """Decides the number of steps for all sessions of a process."""

    def __init__(self) -> None:
        self.steps = 0
        """Steps taken, 0 to `REFUSING`."""
        self._missing = 0.0
        self._changed_at = self._returned_at = float("-inf")
        self._short_since: float | None = None
        self._easy_since: float | None = None
        self._patience_s = _PATIENCE_S

    @property
    def is_refusing(self) -> bool:
        """Whether all stages are reduced and new sessions are to be refused."""
        return self.steps == REFUSING

    @property
    def given(self) -> tuple[Stage, ...]:
        """The stages that are reduced in sessions without a ``priority``."""
        return ORDER[: self.steps]

    @property
    def load(self) -> float:
        """Unmet demand, 0..1: the share of frames not inferred, or the share of steps taken if larger."""
        return max(self._missing, self.steps / REFUSING)

    def observe(self, now: float, sessions: Sequence[SessionLoad]) -> None:
        """Evaluates the sessions' measurements since the last call, and takes or returns one step at most.

        Call it every second or two. ``now`` is in seconds on a monotonic clock.
        """
        fed = [session for session in sessions if session.came >= 1.0]
        self._missing = _missing([session for session in fed if session.busy >= _BUSY])
        if not fed and self.steps:
            self._change(0, now)
        self._short_since = _since(self._short_since, now, _most(fed, self._is_short))
        self._easy_since = _since(self._easy_since, now, _most(fed, self._is_easy))
        if now - self._changed_at < _INTERVAL_S:
            return
        if self._short_since is not None and now - self._short_since >= _SHORT_S:
            self._give(now, fed)
        elif self.steps and self._easy_since is not None and now - self._easy_since >= self._patience_s:
            self._return(now, fed)

    def _give(self, now: float, sessions: Sequence[SessionLoad]) -> None:
        wider = next(
            (steps for steps in range(self.steps + 1, REFUSING + 1) if _matters(steps, sessions)), None
        )
        if wider is None:
            return
        if now - self._returned_at < _RELAPSE_S:
            self._patience_s = min(2 * self._patience_s, _MAX_PATIENCE_S)
        self._change(wider, now)

    def _return(self, now: float, sessions: Sequence[SessionLoad]) -> None:
        if now - self._changed_at >= _RELAPSE_S:
            self._patience_s = _PATIENCE_S
        # Steps that affect no session return together with the next step that affects one.
        smaller = (steps for steps in range(self.steps, 0, -1) if _matters(steps, sessions))
        next(smaller, None)
        self._change(next(smaller, 0), now)
        self._returned_at = now

    def _change(self, steps: int, now: float) -> None:
        self.steps = steps
        self._changed_at = now
        self._short_since = self._easy_since = None

    def _is_short(self, session: SessionLoad) -> bool:
        return session.inferred < _SHORT * self._need(session) and session.busy >= _BUSY

    def _is_easy(self, session: SessionLoad) -> bool:
        has_enough = session.inferred >= _ENOUGH * self._need(session)
        return has_enough and (session.inferred >= _SPARE * NEEDED_RATE or session.busy <= _EASY)

    def _need(self, session: SessionLoad) -> float:
        return min(session.came, CAPPED_RATE if self.steps >= len(ORDER) else NEEDED_RATE)


def _order(priority: Sequence[Stage]) -> list[Stage]:
    return [stage for stage in ORDER if stage not in priority] + list(reversed(priority))


def _matters(steps: int, sessions: Sequence[SessionLoad]) -> bool:
    """Whether the last of ``steps`` steps affects a session.

    A single session may be short only because the machine is slow for its models. Then no others are refused.
    """
    if steps == REFUSING:
        return len(sessions) > 1
    return steps == len(ORDER) or any(
        _order(session.priority)[steps - 1] in session.stages for session in sessions
    )


def _most(sessions: Sequence[SessionLoad], holds: Callable[[SessionLoad], bool]) -> bool:
    """Whether ``holds`` is true for more than half: one costly session must not reduce all others."""
    return 2 * sum(map(holds, sessions)) > len(sessions)


def _missing(sessions: Sequence[SessionLoad]) -> float:
    """Share of the needed frames that were not inferred. `CAPPED_RATE` does not lower the need."""
    wanted = [min(session.came, NEEDED_RATE) for session in sessions]
    served = [min(session.inferred, each) for session, each in zip(sessions, wanted, strict=True)]
    return 1.0 - sum(served) / sum(wanted) if wanted else 0.0


def _since(before: float | None, now: float, holds: bool) -> float | None:
    return (now if before is None else before) if holds else None
