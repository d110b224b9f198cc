"""How much processor time an input may take: so much in any case, and so much for each of its bytes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_HANG_S = 1.0
"""Far beyond every budget: an input that is still at work then is stopped, as it may never end."""


class SlowInput(BaseException):
    """Not an `Exception`: what is too slow may well catch those."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds of processor time on a slow machine, all threads together."""

    base_s: float = 0.02
    per_byte_s: float = 20e-6

    def of(self, data: bytes) -> float:
        return self.base_s + self.per_byte_s * len(data)


def spend(budget: Budget, one_input: Callable[[bytes], None], data: bytes, *, slowdown: float = 1.0) -> None:
    """Runs ``one_input`` on ``data``. Raises `SlowInput` where each of three runs took more than its budget
    times ``slowdown``: a run that only the machine held up is not the last one."""
    allowed = budget.of(data) * slowdown
    took = float("inf")
    with _stopped_after(_HANG_S * slowdown + allowed):
        for _ in range(3):
            began = time.process_time()
            one_input(data)
            took = min(took, time.process_time() - began)
            if took <= allowed:
                return
    raise SlowInput(f"{len(data)} bytes took {took * 1000:.0f} ms, {allowed * 1000:.0f} ms are allowed")


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise SlowInput(f"still at work after {seconds:.1f} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
