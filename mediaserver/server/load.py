"""Measures the use of processors and event loop by a process, and decides if there is room for more."""

from __future__ import annotations

from dataclasses import dataclass

LOOK_S = 1.0
"""Seconds between two measurements of a `LoadMeter`."""
_GAIN = 0.3
"""Weight of the last measurement. New sessions are refused after about 8 s at the limit, not for a burst."""
_LATE_S = 0.05
"""Mean lateness of the event loop that counts as full load. Results would visibly stutter."""
_MOST = 1.5
"""Upper bound of the load of an event loop, so that a long stall does not count for long."""
_CLOSES, _OPENS = 0.95, 0.8


@dataclass(slots=True)
class Load:
    """Shares of the available resources: 1 is full use."""

    processor: float = 0.0
    event_loop: float = 0.0


class LoadMeter:
    """Measures one process, which may use ``processors``. Time is passed in, in seconds."""

    def __init__(self, processors: int) -> None:
        self.load = Load()
        self._processors = processors
        self._late_s, self._timers = 0.0, 0
        self._before: tuple[float, float, float] | None = None

    def take_lag(self, seconds: float) -> None:
        """Adds the lateness of a timer of the event loop."""
        self._late_s += seconds
        self._timers += 1

    def look(self, now: float, loop_cpu_s: float, threads_cpu_s: float) -> None:
        """Updates the load. Call it every `LOOK_S`.

        ``loop_cpu_s`` and ``threads_cpu_s`` are processor seconds so far of the event loop and of other
        threads. Inference threads are excluded, as they use any processor time that is left.
        """
        before, self._before = self._before, (now, loop_cpu_s, threads_cpu_s)
        if before is None:
            return
        elapsed_s, loop_s, threads_s = (new - old for new, old in zip(self._before, before, strict=True))
        late = self._late_s / self._timers / _LATE_S if self._timers else _MOST
        self._late_s, self._timers = 0.0, 0
        self.load.processor += _GAIN * (
            (loop_s + threads_s) / elapsed_s / self._processors - self.load.processor
        )
        self.load.event_loop += _GAIN * (min(max(loop_s / elapsed_s, late), _MOST) - self.load.event_loop)


class Gate:
    """Closed to new sessions from a load of 0.95 until the load is below 0.8."""

    def __init__(self) -> None:
        self.is_closed = False

    def look(self, load: float) -> bool:
        """Updates the gate, and returns whether it has changed."""
        was_closed, self.is_closed = self.is_closed, load >= (_OPENS if self.is_closed else _CLOSES)
        return was_closed != self.is_closed
