"""What the pipeline produces for one frame.

All coordinates are normalised to the frame that was sent: x to the right in 0..1 of its width, y down
in 0..1 of its height, origin at the top left. Boxes are ``(x, y, width, height)``; values may leave
0..1 by the part of an object that is outside the picture only where a keypoint is extrapolated.
Coordinates are rounded to a ten-thousandth of the frame, scores to 3 digits (those of keypoints to 2).
Fields are named as on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""

Floats: TypeAlias = NDArray[np.float32]

Box: TypeAlias = tuple[float, float, float, float]
Point: TypeAlias = tuple[float, float]

FRAME_WIDTH = 320
FRAME_HEIGHT = 240
"""Every model is fed from one RGB frame of this size; aspect is kept by letterboxing."""


@dataclass(frozen=True, slots=True)
class FrameIdentity:
    """Names a frame, so that a client can place a result on the very picture that it belongs to.

    ``rtp_timestamp`` is 90 kHz, 32 bits, as on the wire; ``None`` for a frame sent as JPEG. ``pts_ms`` counts
    from the session's first frame and never goes back. ``capture_time_ms`` is Unix time in the
    sender's clock, ``None`` while unknown. ``width`` and ``height`` are those of the frame that was sent.
    """

    rtp_timestamp: int | None
    pts_ms: float
    capture_time_ms: float | None
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Detection:
    """One object found by the detector.

    ``id`` is stable while the object is seen and for up to 1 s of missed frames. ``velocity`` is
    (frame widths, frame heights) per second, ``None`` unless optical flow is on.
    """

    id: int
    label: str
    score: float
    box: Box
    velocity: Point | None = None


@dataclass(frozen=True, slots=True)
class Pose:
    """One person's skeleton: 17 COCO keypoints as ``(x, y, score)``; ``id`` as in `Detection`."""

    id: int
    score: float
    box: Box
    keypoints: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """One object with its outline: a closed polygon of 64 points at most, without the last one again; empty
    where the model shows no outline. ``id`` as in `Detection`."""

    id: int
    label: str
    score: float
    box: Box
    polygon: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; ``quad`` is its four corners clockwise from the text's own top left."""

    text: str
    score: float
    quad: tuple[Point, Point, Point, Point]


@dataclass(frozen=True, slots=True)
class Motion:
    """Global motion between the last two inferred frames, in frame widths and heights per second."""

    dx: float
    dy: float
    magnitude: float


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """All that one frame gave. ``None`` says that the stage was off, or, for ``texts``, that no OCR ended
    since the last result; an empty tuple says that it ran and found nothing.

    ``timing_ms`` holds milliseconds of each `inference.stages.Stage` that ran, but for OCR. ``failures`` says
    in words why a stage that was on gave nothing.
    """

    detections: tuple[Detection, ...] | None
    poses: tuple[Pose, ...] | None
    segments: tuple[Segment, ...] | None
    texts: tuple[Text, ...] | None
    motion: Motion | None
    timing_ms: dict[str, float]
    failures: dict[str, str]
