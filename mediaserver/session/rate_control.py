"""Computes ``rate`` hints, so that the sender does not encode and send frames that would be dropped."""

from __future__ import annotations

from dataclasses import dataclass

from inference.types import FRAME_HEIGHT, FRAME_WIDTH
from signaling.messages import Rate

_HEADROOM = 1.5
"""Hinted frames per inferred frame, so that the newest frame is fresh at its turn."""
_MIN_FRAMERATE = 5.0
_MIN_CAMERA_FRAMERATE = 0.1
_BITS_PER_PIXEL = 0.12
_MIN_BITRATE, _MAX_BITRATE = 150_000, 2_500_000
_OCR_SCALE = 2
"""Scale of the hinted size while OCR is on, which reads the full frame: twice the canvas."""
_HYSTERESIS = 0.2
_INTERVAL_S = 2.0


@dataclass(frozen=True, slots=True)
class Observation:
    """Counters of a session since its beginning, and the size of its newest frame in pixels."""

    received: int
    inferred: int
    width: int
    height: int
    ocr: bool
    camera_framerate: float | None = None
    """Frames a second of the camera, if the client has sent it."""


class RateControl:
    """Turns observations into ``rate`` hints. Time is passed in, in seconds.

    A hint is 1.5 times the inferred rate, but at least 5 frames a second. So the sender's rate can rise again
    when inference gets faster. It does not exceed the camera's rate, if the client has sent that. The
    camera's size is taken as the largest picture seen. If a picture is smaller than hinted, the camera has
    changed or was turned, and the size is measured again.

    A new hint is made if its rate differs by more than 20 % from the last, or its scale differs. Hints
    are at least 2 s apart. Time without frames, and the first second with frames, are not measured.
    """

    def __init__(self) -> None:
        self._before: tuple[float, Observation] | None = None
        self._flowing = False
        self._camera_size = (1.0, 1.0)  # any picture is larger
        self._hint: Rate | None = None

    def observe(self, now: float, seen: Observation) -> Rate | None:
        """Returns a new hint, or ``None`` if the last hint still applies. Call it about every second."""
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
