"""The moment of the clip that a result belongs to."""

from __future__ import annotations

import bisect
from collections import deque

from signaling.findings import FrameInfo

_MAX_SENT = 1024
_MAX_OFF_MS = 100.0
"""Capture times are a few milliseconds off. A time farther from each remembered frame is of an older
frame."""
_RTP_CLOCK_HZ = 90_000
_RTP_HALF = 1 << 31


class Timeline:
    """Finds the moment of a result in the clip, from the times at which frames were sent.

    A result is found by its capture time. If that is unknown, it is found by its RTP distance to another
    frame.
    """

    def __init__(self) -> None:
        self._sent: deque[tuple[float, float]] = deque(maxlen=_MAX_SENT)
        self._anchor: tuple[int, float] | None = None
        self.in_step = False
        """Whether frames go with the clip's own times, and results name them by these."""

    def sent(self, captured_ms: float, clip_time_s: float) -> None:
        """Notes the frame at ``clip_time_s``, sent with the Unix time ``captured_ms``."""
        self._sent.append((captured_ms, clip_time_s))

    def locate(self, frame: FrameInfo) -> float | None:
        """Seconds in the clip; ``None`` while they are unknown."""
        if self.in_step:
            return frame.pts_ms / 1000.0
        known = frame.capture_time_ms if not frame.capture_time_estimated else None
        found = None if known is None else self._nearest(known)
        if frame.rtp_timestamp is None:
            return found
        if found is not None:
            self._anchor = (frame.rtp_timestamp, found)
        elif self._anchor is not None:
            ticks = (frame.rtp_timestamp - self._anchor[0] + _RTP_HALF) % (2 * _RTP_HALF) - _RTP_HALF
            found = self._anchor[1] + ticks / _RTP_CLOCK_HZ
        return found

    def settle(self, frame: FrameInfo) -> float:
        """As `locate`, after the last result. An unknown time counts from the server's first frame."""
        found = self.locate(frame)
        return frame.pts_ms / 1000.0 if found is None else found

    def _nearest(self, captured_ms: float) -> float | None:
        at = bisect.bisect_left(self._sent, captured_ms, key=lambda entry: entry[0])
        near = [self._sent[index] for index in (at - 1, at) if 0 <= index < len(self._sent)]
        off, clip_time_s = min(((abs(sent - captured_ms), time) for sent, time in near), default=(0.0, None))
        return clip_time_s if off <= _MAX_OFF_MS else None
