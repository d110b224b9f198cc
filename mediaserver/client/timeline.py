"""Which moment of the clip a result belongs to."""

from __future__ import annotations

import bisect
from collections import deque

from signaling.messages import FrameInfo

_MAX_SENT = 1024
_MAX_OFF_MS = 100.0
"""Capture times are a few milliseconds off. What is farther from every frame remembered was sent before."""
_RTP_CLOCK_HZ = 90_000
_RTP_HALF = 1 << 31


class Timeline:
    """Remembers when each frame was sent, in the sender's clock, and finds frames again by what a result
    says of them: by capture time where it is known, else by RTP distance to a frame that was found.
    """

    def __init__(self) -> None:
        self._sent: deque[tuple[float, float]] = deque(maxlen=_MAX_SENT)
        self._anchor: tuple[int, float] | None = None

    def sent(self, captured_ms: float, clip_time_s: float) -> None:
        """The frame at ``clip_time_s`` leaves, with the Unix time ``captured_ms``."""
        self._sent.append((captured_ms, clip_time_s))

    def locate(self, frame: FrameInfo) -> float | None:
        """Seconds into the clip, or ``None`` while it cannot be told."""
        found = None if frame.capture_time_ms is None else self._nearest(frame.capture_time_ms)
        if frame.rtp_timestamp is None:
            return found
        if found is not None:
            self._anchor = (frame.rtp_timestamp, found)
        elif self._anchor is not None:
            ticks = (frame.rtp_timestamp - self._anchor[0] + _RTP_HALF) % (2 * _RTP_HALF) - _RTP_HALF
            found = self._anchor[1] + ticks / _RTP_CLOCK_HZ
        return found

    def _nearest(self, captured_ms: float) -> float | None:
        at = bisect.bisect_left(self._sent, captured_ms, key=lambda entry: entry[0])
        near = [self._sent[index] for index in (at - 1, at) if 0 <= index < len(self._sent)]
        off, clip_time_s = min(((abs(sent - captured_ms), time) for sent, time in near), default=(0.0, None))
        return clip_time_s if off <= _MAX_OFF_MS else None
