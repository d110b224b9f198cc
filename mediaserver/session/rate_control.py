"""What to ask of the sender, so that it does not encode, send and have decoded what would be dropped."""

from __future__ import annotations

from dataclasses import dataclass

from inference.types import FRAME_HEIGHT, FRAME_WIDTH
from signaling.messages import Rate

_HEADROOM = 1.5
"""More frames than are inferred, so that the newest one is fresh when its turn comes."""
_MIN_FRAMERATE = 5.0
_MIN_CAMERA_FRAMERATE = 0.1
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
    camera_framerate: float | None = None
    """Frames a second that the camera gives, where the client has told."""


class RateControl:
    """Turns observations into ``rate`` hints. Time is passed in, in seconds.

    Hints leave room above what is used, so that a sender that obeys one grows back by itself once the engine
    keeps up. No more than the camera's rate is asked for, where the client has told it: what arrives while a
    hint is obeyed says nothing about it. The camera's size is the most that was seen of it, until
    the sender's picture gets smaller than was asked for: then it has another camera, or was turned.

    A hint goes out when the wish differs by more than 20 % from the last hint, and not more often than every
    2 s. Only time in which frames flow is measured, from its first second on.
    """

    def __init__(self) -> None:
        self._before: tuple[float, Observation] | None = None
        self._flowing = False
        self._camera_size = (1.0, 1.0)  # any picture is larger
        self._hint: Rate | None = None

    def observe(self, now: float, seen: Observation) -> Rate | None:
        """A new hint, or ``None`` when the last one still stands. Call about every second."""
        before_at, before = self._before or (now, seen)
        elapsed_s = now - before_at
        if self._flowing and elapsed_s < _INTERVAL_S:
            return None
        measured, self._flowing = self._flowing, seen.inferred > before.inferred
        self._before = (now, seen)
        if not (measured and self._flowing):
            return None
        self._look_at_size(seen.width, seen.height)
        wish = self._wish((seen.inferred - before.inferred) / elapsed_s, seen)
        if self._hint is not None and not _differs(wish, self._hint):
            return None
        self._hint = wish
        return wish

    def _look_at_size(self, width: int, height: int) -> None:
        scale = 1.0 if self._hint is None else self._hint.scale_resolution_down_by
        camera_width, camera_height = self._camera_size
        if min(width * scale / camera_width, height * scale / camera_height) < 1 - _HYSTERESIS:
            self._camera_size = (width * scale, height * scale)
        elif width * height > camera_width * camera_height:
            self._camera_size = (width, height)

    def _wish(self, inference_framerate: float, seen: Observation) -> Rate:
        framerate = max(_HEADROOM * inference_framerate, _MIN_FRAMERATE)
        if seen.camera_framerate is not None:
            framerate = min(framerate, max(seen.camera_framerate, _MIN_CAMERA_FRAMERATE))
        enlarged = _OCR_SCALE if seen.ocr else 1
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
