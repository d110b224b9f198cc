"""The times of a clip's frames, on one clock that starts at zero and goes forward."""

from __future__ import annotations

from fractions import Fraction

CLOCK_HZ = 90_000
"""Ticks a second: the clock of RTP, on which all common frame rates are exact, or nearly so."""

_LONGEST_PAUSE = 30 * CLOCK_HZ
"""A screen that nobody touches is recorded without frames; longer than this, the clock was set."""
_DISORDER = 2 * CLOCK_HZ
"""Where packets are missing, a decoder gives frames in a wrong order, by no more than it holds back."""


class ClipClock:
    """Brings the times of one stream onto one clock. Pure.

    Times jump if the recorder starts again or its clock is set. There the clip is cut and goes on a frame
    later. ``framerate`` is for frames without a time.
    """

    def __init__(self, time_base: Fraction, framerate: float) -> None:
        self._time_base = time_base
        self._step = max(2, round(CLOCK_HZ / framerate))
        self._shift: int | None = None
        self._decoded_until: int | None = None
        self._last = 0
        self.cuts = 0

    def ticks(self, pts: int | None, dts: int | None) -> int:
        """Ticks of the next frame since the first frame, later than the frame before.

        ``pts`` and ``dts`` are its own times in time base units. ``dts`` is that of the decoded packet.
        """
        shown_at, decoded_at = self._to_ticks(pts), self._to_ticks(dts)
        if self._shift is None:
            self._shift = -(shown_at or 0)
        else:
            self._last += self._step if shown_at is None else self._ahead(shown_at + self._shift, decoded_at)
        if decoded_at is not None:
            self._decoded_until = max(decoded_at, self._decoded_until or decoded_at)
        return self._last

    def _ahead(self, shown_at: int, decoded_at: int | None) -> int:
        ahead = shown_at - self._last
        if ahead > _LONGEST_PAUSE or (ahead < -self._step and self._was_set_back(ahead, decoded_at)):
            self.cuts += 1
            self._shift = (self._shift or 0) + self._step - ahead
            self._decoded_until = decoded_at
            return self._step
        # Else the time was written twice, or is that of a frame in disorder.
        return ahead if ahead > 0 else self._step // 2

    def _was_set_back(self, ahead: int, decoded_at: int | None) -> bool:
        if ahead < -_DISORDER or decoded_at is None or self._decoded_until is None:
            return True
        return decoded_at < self._decoded_until - self._step

    def _to_ticks(self, time: int | None) -> int | None:
        return None if time is None else round(time * self._time_base * CLOCK_HZ)
