"""What to ask of the sender, so that it does not encode, send and have decoded what would be dropped."""

from __future__ import annotations

from dataclasses import dataclass

from inference.types import FRAME_HEIGHT, FRAME_WIDTH
from signaling.messages import Rate

_HEADROOM = 1.5
"""More frames than are inferred, so that the newest one is fresh when its turn comes."""
_MIN_FRAMERATE = 5.0
_BITS_PER_PIXEL = 0.12
_MIN_BITRATE, _MAX_BITRATE = 150_000, 2_500_000
_OCR_SCALE = 2
"""OCR reads the full-size frame: ask for twice the canvas while it is on."""
_HYSTERESIS = 0.2
_INTERVAL_S = 2.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What a session has seen so far: counters since its begin, and its newest frame's size in pixels."""

    received: int
    inferred: int
    width: int
    height: int
    ocr: bool


class RateControl:
    """Turns observations into ``rate`` hints. Time is passed in, in seconds.

    The camera's own rate and size are the most that was ever seen of it. A hint goes out when the wish
    differs by more than 20 % from the last hint, and not more often than every 2 s.
    """

    def __init__(self) -> None:
        self._before: tuple[float, Observation] | None = None
        self._camera_framerate = 0.0
        self._camera_size = (0, 0)
        self._hint: Rate | None = None

    def observe(self, now: float, seen: Observation) -> Rate | None:
        """A new hint, or ``None`` when the last one still stands. Call about every second."""
        if self._before is None:
            self._before = (now, seen)
            return None
        elapsed_s = now - self._before[0]
        if elapsed_s < _INTERVAL_S:
            return None
        before, self._before = self._before[1], (now, seen)
        if seen.inferred == before.inferred:
            return None  # nothing flows: no reason to ask for less
        self._camera_framerate = max(self._camera_framerate, (seen.received - before.received) / elapsed_s)
        if seen.width * seen.height > self._camera_size[0] * self._camera_size[1]:
            self._camera_size = (seen.width, seen.height)
        wish = self._wish((seen.inferred - before.inferred) / elapsed_s, ocr=seen.ocr)
        if self._hint is not None and not _differs(wish, self._hint):
            return None
        self._hint = wish
        return wish

    def _wish(self, inference_framerate: float, *, ocr: bool) -> Rate:
        framerate = min(max(_HEADROOM * inference_framerate, _MIN_FRAMERATE), self._camera_framerate)
        enlarged = _OCR_SCALE if ocr else 1
        width, height = self._camera_size
        scale = max(1.0, min(width / (FRAME_WIDTH * enlarged), height / (FRAME_HEIGHT * enlarged)))
        pixels = width * height / scale**2
        bitrate = min(max(int(pixels * framerate * _BITS_PER_PIXEL), _MIN_BITRATE), _MAX_BITRATE)
        return Rate(
            max_framerate=round(framerate, 1), max_bitrate=bitrate, scale_resolution_down_by=round(scale, 3)
        )


def _differs(wish: Rate, hint: Rate) -> bool:
    return (
        abs(wish.max_framerate - hint.max_framerate) > _HYSTERESIS * hint.max_framerate
        or wish.scale_resolution_down_by != hint.scale_resolution_down_by
    )
