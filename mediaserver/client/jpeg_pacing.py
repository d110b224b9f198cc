"""The number and size of JPEG frames under way, so that no frame queues behind another.

Pure: time is passed in, in seconds of any monotonic clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

_MAX_UNANSWERED = 2
_GIVEN_UP_S = 1.0
"""So long after a frame was received its result is waited for: some have none, as they were too old."""
_NARROW_S, _WIDE_S = 0.35, 0.12
"""A frame that takes longer than the first is followed by smaller frames. After many frames that take less
than the second, larger frames are tried."""
_MANY = 20
_ROUNDING_MS = 0.1
"""Of capture times in results."""


class JpegForm(NamedTuple):
    """What a picture is made to fit, in pixels, and its quality, 1..100."""

    width: int
    height: int
    quality: int


FORMS = (
    JpegForm(320, 240, 80),
    JpegForm(320, 240, 60),
    JpegForm(320, 240, 40),
    JpegForm(240, 180, 40),
    JpegForm(160, 120, 40),
)


@dataclass(slots=True)
class _Frame:
    number: int
    captured_ms: float
    sent_at: float
    arrived_at: float | None = None


class JpegPacing:
    """A frame is followed by a ping of the same number, whose answer tells that it was received. Where that
    takes long, the next frame waits for it; nowhere are more than two without a result."""

    def __init__(self) -> None:
        self._under_way: deque[_Frame] = deque()
        self._last_arrival = 0.0
        self._least_s = float("inf")
        """What the fastest frame took: that much is distance, what others take longer is width."""
        self._form = 0
        self._easy = 0
        self.is_narrow = False
        """Whether frames take so long that they go one by one."""

    @property
    def form(self) -> JpegForm:
        """Of the next frame."""
        return FORMS[self._form]

    def has_room(self, now: float) -> bool:
        """Whether a frame may be sent now."""
        while self._under_way and _is_given_up(self._under_way[0], now):
            self._under_way.popleft()
        if self.is_narrow and any(frame.arrived_at is None for frame in self._under_way):
            return False
        return len(self._under_way) < _MAX_UNANSWERED

    def sent(self, number: int, captured_ms: float, now: float) -> None:
        """A frame is on its way."""
        self._under_way.append(_Frame(number, captured_ms, now))

    def received(self, number: int, now: float) -> None:
        """The server has this frame."""
        for frame in self._under_way:
            if frame.number == number and frame.arrived_at is None:
                frame.arrived_at = now
                self._adapt(now - max(frame.sent_at, self._last_arrival))
                self._last_arrival = now

    def answered(self, captured_ms: float) -> None:
        """A result came: no older frame will have one."""
        while self._under_way and self._under_way[0].captured_ms <= captured_ms + _ROUNDING_MS:
            self._under_way.popleft()

    def restart(self) -> None:
        """Another connection: what was under way is lost."""
        self._under_way.clear()

    def _adapt(self, took_s: float) -> None:
        self._least_s = min(self._least_s, took_s)
        width_s = took_s - self._least_s
        self.is_narrow = width_s > _WIDE_S or self._form > 0
        self._easy = self._easy + 1 if width_s < _WIDE_S else 0
        if width_s > _NARROW_S:
            self._form = min(self._form + 1, len(FORMS) - 1)
        elif self._easy >= _MANY and self._form > 0:
            self._form, self._easy = self._form - 1, 0


def _is_given_up(frame: _Frame, now: float) -> bool:
    return frame.arrived_at is not None and now - frame.arrived_at > _GIVEN_UP_S
