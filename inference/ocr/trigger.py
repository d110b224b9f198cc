"""Decides when OCR runs: on request, when a label appears, or when a changed picture has come to rest.

Pure: time, labels and motion are passed in. Motion moves through these states::

    state     on                           becomes   and
    MOVING    motion below the level       SETTLING  the pause starts
    SETTLING  motion at or over the level  MOVING
    SETTLING  the pause has lasted 0.5 s   STILL     OCR is due: ``settled``
    STILL     motion at or over the level  MOVING    a due ``settled`` is withdrawn

A session starts as MOVING, and so reads its first scene. It returns to MOVING if OCR on settling is switched
off.
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
"""Least time between the starts of two runs, as a multiple of the duration of the first run."""
MOTION_LEVEL = 0.025
"""Share of the picture whose change counts as motion.

In the sample clip a sign that appears changes a share of 0.049 or more. A slow pan, noise and distant people
stay below 0.023 at 6 to 30 fps.
"""

_THUMBNAIL = (80, 60)
_TOLERANCE = 12


class OcrReason(StrEnum):
    """The reason of an OCR run. If several apply, the first in this order is given."""

    TRIGGER = "trigger"
    LABEL = "label"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class OcrTriggerConfig:
    """``labels`` are detector labels whose appearance starts OCR.

    ``min_interval_s`` is the least time between the starts of two runs; it is longer after a long run.
    """

    labels: frozenset[str] = frozenset()
    on_settle: bool = True
    min_interval_s: float = 1.0


class _Motion(Enum):
    MOVING = auto()
    SETTLING = auto()
    STILL = auto()


class OcrTrigger:
    """The decision for one session. All times are seconds on one monotonic clock.

    A reason that arises while OCR runs, or within the minimum interval, is kept until OCR can start.
    A request by the client does not wait for the minimum interval, only for the pause after a run.
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
        """Sets a new configuration. Reasons that it switches off are withdrawn."""
        self._config = config
        if not config.on_settle:
            self._due.discard(OcrReason.SETTLED)
            self._motion = _Motion.MOVING
        if not config.labels:
            self._due.discard(OcrReason.LABEL)

    def request(self) -> None:
        """Records that the client requested OCR."""
        self._due.add(OcrReason.TRIGGER)

    def observe(self, now: float, labels: Collection[str], motion: float | None) -> OcrReason | None:
        """Evaluates one inferred frame, and returns the reason to start OCR on it, or ``None``.

        ``labels`` were detected in the frame. ``motion`` is the result of `MotionGauge.update`, or ``None``
        if OCR on settling is off.
        """
        self._observe_labels(now, labels)
        if motion is not None:
            self._observe_motion(now, motion)
        if self._running or now < self._rests_until:
            return None
        if OcrReason.TRIGGER in self._due:  # does not wait for the minimum interval
            return OcrReason.TRIGGER
        if now < self._started_at + self._config.min_interval_s:
            return None
        return next((reason for reason in OcrReason if reason in self._due), None)

    def started(self, now: float) -> None:
        """Records that OCR started. It covers all reasons that were due."""
        self._due.clear()
        self._running = True
        self._started_at = now

    def finished(self, spent_s: float) -> None:
        """Records that OCR ended, also by a failure. ``spent_s`` excludes the time of waiting for turns."""
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
    """Measures how much of the picture changed since the previous frame, in about 0.1 ms a frame.

    A pixel of an 80×60 grey thumbnail counts as changed if its brightness lies outside a range. The range is
    that of the 3×3 pixels around it in the previous thumbnail. So a sign that appears counts, but a slow pan,
    which leaves text readable, does not. The share depends little on the frame rate.
    """

    def __init__(self) -> None:
        self._previous: cv2.typing.MatLike | None = None

    def update(self, frame: Image) -> float:
        """Returns the share of changed pixels, 0..1; 0 for the first frame. All frames have one size."""
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
