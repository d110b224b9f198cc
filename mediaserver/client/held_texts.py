"""Texts in a clip: from the frame in which they were read, for as long as they stand there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from signaling.findings import FrameInfo, WireText
from signaling.messages import Result

_HELD_S = 2.0
_CHANGED = 12.0
"""Mean difference of brightness, of 255. Two frames of the same sign differ by about 3. A sign that moved by
a stroke's width differs by 20 and more."""
_SAMPLES = (64, 16)


@dataclass(slots=True)
class _Reading:
    moment: float
    texts: list[WireText]
    looks: list[NDArray[np.float32] | None] = field(default_factory=list)
    """Of each text, at first; ``None`` where it is seen no more."""


class HeldTexts:
    """The texts of OCR, by the moments of the frames that it read.

    ``results`` come with their moments, ascending. A result may have texts of an earlier frame. That frame is
    found among the results, else by the media time between the two. A text is held until OCR reads another
    frame, for 2 s at most. It goes earlier if its place in the picture changes.
    """

    def __init__(self, results: Sequence[tuple[float, Result]]) -> None:
        moments: dict[tuple[int | None, float], float] = {}
        readings = []
        for moment, result in results:
            moments[_name(result.frame)] = moment
            if result.texts is not None:
                read = result.texts_frame or result.frame
                earlier_s = (result.frame.pts_ms - read.pts_ms) / 1000.0
                readings.append(_Reading(moments.get(_name(read), moment - earlier_s), result.texts))
        self._ahead = sorted(readings, key=lambda reading: reading.moment, reverse=True)
        self._current: _Reading | None = None

    def at(self, time_s: float, picture: NDArray[np.uint8]) -> list[WireText]:
        """The texts that stand in the frame at ``time_s``; to be asked frame by frame. ``picture`` is uint8
        [height, width, 3] RGB, with nothing drawn in."""
        while self._ahead and self._ahead[-1].moment <= time_s:
            self._current = self._ahead.pop()
            self._current.looks = [_look(picture, text) for text in self._current.texts]
        if self._current is None or time_s - self._current.moment > _HELD_S:
            return []
        current = self._current
        for number, (text, first) in enumerate(zip(current.texts, current.looks, strict=True)):
            now = None if first is None else _look(picture, text)
            if first is None or now is None or np.abs(now - first).mean() > _CHANGED:
                current.looks[number] = None
        return [text for text, look in zip(current.texts, current.looks, strict=True) if look is not None]


def _name(frame: FrameInfo) -> tuple[int | None, float]:
    return frame.rtp_timestamp, frame.pts_ms


def _look(picture: NDArray[np.uint8], text: WireText) -> NDArray[np.float32] | None:
    """Brightness where the text is, at a few places; ``None`` outside the picture."""
    height, width = picture.shape[:2]
    corners = np.array(text.quad) * (width, height)
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)).astype(int)
    if right <= left or bottom <= top:
        return None
    place = cv2.cvtColor(picture[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(place, _SAMPLES, interpolation=cv2.INTER_AREA), np.float32)
