"""The heads of pose models: persons with 17 COCO keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inference.engines.contract import Head, HeadLayout, ModelInfo
from inference.heads.candidates import (
    Shape,
    UnknownHead,
    best,
    best_rows,
    from_centres,
    from_corners,
    likely_rows,
    placement_of,
    sides,
    sound,
    suppress,
    to_canvas,
)
from inference.heads.found import Found, Thing
from inference.letterbox import Letterbox
from inference.rounding import COORDINATE_DIGITS, rounded
from inference.types import Floats, Pose

KEYPOINTS = 17
PERSON = "person"
"""Label of persons in detectors; poses carry it, too."""
_SCORE_DIGITS = 2
"""Digits of a keypoint's score. There are 17 keypoints in each pose."""


@dataclass(frozen=True, slots=True)
class FoundPersons(Found):
    """Persons. ``keypoints`` is float32 [n, 17, 3]: x, y in canvas pixels, score in 0..1."""

    keypoints: Floats

    def keypoints_in(self, letterbox: Letterbox) -> Floats:
        """As `Found.keypoints_in`."""
        return letterbox.points_to_frame(self.keypoints)

    def results(self, things: Sequence[Thing], letterbox: Letterbox) -> tuple[Pose, ...]:
        """As `Found.results`."""
        points = self.keypoints_in(letterbox)
        places = rounded(points[..., :2], COORDINATE_DIGITS)
        keypoints = np.concatenate((places, rounded(points[..., 2:], _SCORE_DIGITS)), axis=2).tolist()
        return tuple(
            Pose(thing.id, thing.score, thing.box, tuple(map(tuple, each)))
            for thing, each in zip(things, keypoints, strict=True)
        )


def identify(shapes: Sequence[Shape], metadata: Mapping[str, str]) -> tuple[HeadLayout, None]:
    """Returns the layout by the shape of the output, and no number of classes. Raises `UnknownHead`."""
    rows, columns = sides(shapes[0])
    if rows == 5 + 3 * KEYPOINTS:
        return HeadLayout.ULTRALYTICS_POSE, None
    if columns == 6 + 3 * KEYPOINTS:
        return HeadLayout.END_TO_END, None
    raise UnknownHead(
        f"output {list(shapes[0])} is no known pose head: Ultralytics [batch, 56, N] or end-to-end "
        f"[batch, N, 57]"
    )


def decode(head: Head, info: ModelInfo, threshold: float) -> FoundPersons:
    """Decodes one item of a pose model's output (no batch axis); scores below ``threshold`` are left out."""
    placement, (output, *_) = placement_of(info), head
    if info.layout is HeadLayout.END_TO_END:
        rows = best_rows(output, threshold)
        boxes, scores, points = from_corners(rows[:, :4]), rows[:, 4], rows[:, 6:]
        kept = sound(boxes, points)
    else:
        if info.layout is HeadLayout.CANDIDATES:
            rows = likely_rows(output, threshold)
            scores, points = rows[:, 4], rows[:, 6:]
        else:
            found = np.flatnonzero(output[4] >= threshold)
            rows = output[:, best(found, output[4, found])].T
            scores, points = rows[:, 4], rows[:, 5:]
        boxes = from_centres(rows[:, :4])
        kept = sound(boxes, points)
        kept = kept[suppress(boxes[kept], scores[kept], np.zeros(len(kept), np.intp))]
    keypoints = points[kept].reshape(-1, KEYPOINTS, 3).copy()
    keypoints[..., 0] = (keypoints[..., 0] - placement.left) / placement.scale
    keypoints[..., 1] = (keypoints[..., 1] - placement.top) / placement.scale
    keypoints[..., 2] = keypoints[..., 2].clip(0, 1)
    return FoundPersons(
        to_canvas(boxes[kept], placement), scores[kept].clip(0, 1), np.zeros(len(kept), np.intp), keypoints
    )
