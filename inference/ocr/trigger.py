"""Decides when OCR runs: never on each frame, but when something worth reading has come to rest.

Pure: time, labels and motion are passed in. Motion moves through these states:

===========  ==========================  ==========  =============================
state        on                          becomes     and
===========  ==========================  ==========  =============================
MOVING       motion below the level      SETTLING    the pause starts
SETTLING     motion at or over the level MOVING
SETTLING     0.5 s of pause are over     STILL       OCR is due: ``settled``
STILL        motion at or over the level MOVING      a due ``settled`` is withdrawn
===========  ==========================  ==========  =============================

A session starts as MOVING: a scene that was never read counts as a change.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

import cv2
import numpy as np

from inference.types import Image

SETTLE_S = 0.5
LABEL_ABSENCE_S = 1.0
PAUSE = 2.0
"""From one start to the next, in terms of the time that a run took: a session that reads page after page
rests as long as it reads."""
MOTION_LEVEL = 0.025
"""Share of the picture that changes. Signs that appear in our clip change 0.049 of it and more; a slow
pan, noise and people who walk at a distance stay below 0.023 at any rate from 6 to 30 fps."""

_THUMBNAIL = (80, 60)
_TOLERANCE = 12


class OcrReason(StrEnum):
    """Why OCR runs; where several hold, the first of them."""

    TRIGGER = "trigger"
    LABEL = "label"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class OcrTriggerConfig:
    """``labels``: detector labels whose appearance starts OCR. ``min_interval_s``: from start to start, more
    after a long run."""

    labels: frozenset[str] = frozenset()
    on_settle: bool = True
    min_interval_s: float = 1.0


class _Motion(Enum):
    MOVING = auto()
    SETTLING = auto()
    STILL = auto()


class OcrTrigger:
    """The decision for one session. All times are seconds on one clock that never goes back.

    A reason that comes while OCR runs, or within the minimum interval, waits and is not lost.
    """

    def __init__(self, config: OcrTriggerConfig) -> None:
        self._config = config
        self._due: set[OcrReason] = set()
        self._running = False
        self._started_at = self._rests_until = float("-inf")
        self._label_seen_at: dict[str, float] = {}
        self._motion = _Motion.MOVING
        self._pause_began_at = 0.0

    def configure(self, config: OcrTriggerConfig) -> None:
        """Takes new settings; a reason that they switch off is withdrawn."""
        self._config = config
        if not config.on_settle:
            self._due.discard(OcrReason.SETTLED)
        if not config.labels:
            self._due.discard(OcrReason.LABEL)

    def request(self) -> None:
        """OCR was asked for explicitly."""
        self._due.add(OcrReason.TRIGGER)

    def observe(self, now: float, labels: Collection[str], motion: float) -> OcrReason | None:
        """Takes in one inferred frame and says why OCR shall start on it, if it shall.

        ``labels`` were detected in it; ``motion`` is what `MotionGauge.update` gave for it.
        """
        self._observe_labels(now, labels)
        self._observe_motion(now, motion)
        rests = now < max(self._rests_until, self._started_at + self._config.min_interval_s)
        if self._running or rests:
            return None
        return next((reason for reason in OcrReason if reason in self._due), None)

    def started(self, now: float) -> None:
        """OCR started: it answers every reason that was due."""
        self._due.clear()
        self._running = True
        self._started_at = now

    def finished(self, spent_s: float) -> None:
        """OCR ended, well or not, and took ``spent_s`` without the time that it waited for others."""
        self._running = False
        self._rests_until = self._started_at + PAUSE * spent_s

    def _observe_labels(self, now: float, labels: Collection[str]) -> None:
        for label in self._config.labels.intersection(labels):
            if now - self._label_seen_at.get(label, float("-inf")) >= LABEL_ABSENCE_S:
                self._due.add(OcrReason.LABEL)
            self._label_seen_at[label] = now

    def _observe_motion(self, now: float, motion: float) -> None:
        if motion >= MOTION_LEVEL:
            self._motion = _Motion.MOVING
            self._due.discard(OcrReason.SETTLED)
        elif self._motion is _Motion.MOVING:
            self._motion = _Motion.SETTLING
            self._pause_began_at = now
        elif self._motion is _Motion.SETTLING and now - self._pause_began_at >= SETTLE_S:
            self._motion = _Motion.STILL
            if self._config.on_settle:
                self._due.add(OcrReason.SETTLED)


class MotionGauge:
    """Measures how much of the picture changed since the frame before, at about 0.1 ms a frame.

    A cell of an 80×60 grey thumbnail counts as changed when its brightness lies outside the range of the
    3×3 cells around it in the thumbnail before. So a sign that appears is seen, while a slow pan, which
    leaves text readable, is not, and the figure hardly depends on the frame rate.
    """

    def __init__(self) -> None:
        self._previous: cv2.typing.MatLike | None = None

    def update(self, frame: Image) -> float:
        """Share of cells that changed, 0..1; 0 for the first frame. ``frame``: any size, always the same."""
        thumbnail = cv2.cvtColor(
            cv2.resize(frame, _THUMBNAIL, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
        )
        previous, self._previous = self._previous, thumbnail
        if previous is None:
            return 0.0
        cell = np.ones((3, 3), np.uint8)
        brighter = cv2.subtract(thumbnail, cv2.dilate(previous, cell))
        darker = cv2.subtract(cv2.erode(previous, cell), thumbnail)
        return float(np.mean(cv2.max(brighter, darker) > _TOLERANCE))
