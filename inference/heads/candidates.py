"""What the heads have in common: choosing among candidates, and the way back to the 320×240 canvas.

A candidate with a number that is not finite, or whose box has no area, is left out: it would upset the
tracker, and JSON cannot carry it. Scores are cut to 0..1; quantised models give some a little over 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import ModelInfo, Placement
from inference.types import Floats

Shape: TypeAlias = Sequence[int | str | None]
"""Of an output, with its batch axis; sizes known only at run time are not numbers."""

MAX_RESULTS = 100
_MAX_CANDIDATES = 300
"""Boxes that go into non-maximum suppression: the best ones. Bounds its cost in a crowded picture."""
_MAX_IOU = 0.5
_FAR_AWAY = 1e6
"""Pixels. What is farther away than this is no coordinate, and could overflow an area."""


class UnknownHead(ValueError):
    """A model output that is none of the layouts of `HeadLayout`; the message names its shape."""


def sides(shape: Shape) -> tuple[int | None, int | None]:
    """The two sides of a head [batch, a, b] where they are known. Raises `UnknownHead` for another shape."""
    if len(shape) != 3:
        raise UnknownHead(f"output {list(shape)} is no head that is known")
    rows, columns = (size if isinstance(size, int) else None for size in shape[1:])
    return rows, columns


def placement_of(info: ModelInfo) -> Placement:
    """Where the frame lies in the network's input. Raises `ValueError` for a model that does not take it."""
    if info.placement is None:
        raise ValueError(f"{info.name} does not take the frame")
    return info.placement


def best(indices: NDArray[np.intp], scores: Floats) -> NDArray[np.intp]:
    """Those of ``indices`` with the best scores, at most 300."""
    if len(indices) <= _MAX_CANDIDATES:
        return indices
    return indices[np.argpartition(-scores, _MAX_CANDIDATES)[:_MAX_CANDIDATES]]


def best_class_candidates(
    head: Floats, classes: int, threshold: float
) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
    """Anchors, scores and classes of the best candidates in a head [4 + classes + more, N]."""
    class_scores = head[4 : 4 + classes]
    scores = class_scores.max(axis=0)
    found = np.flatnonzero(scores >= threshold)
    kept = best(found, scores[found])
    return kept, scores[kept], class_scores[:, kept].argmax(axis=0)


def best_rows(head: Floats, threshold: float) -> Floats:
    """Rows of an end-to-end head [N, 6 or more], best first."""
    rows = head[head[:, 4] >= threshold]
    return rows[np.argsort(-rows[:, 4], kind="stable")][:MAX_RESULTS]


def sound(boxes: Floats, others: Floats | None = None) -> NDArray[np.intp]:
    """Indices of the rows whose numbers are finite and of a sane size, and whose box has an area."""
    numbers = boxes if others is None else np.concatenate((boxes, others), axis=1)
    return np.flatnonzero((np.abs(numbers) < _FAR_AWAY).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))


def suppress(boxes: Floats, scores: Floats, classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Non-maximum suppression: indices of the boxes to keep, best first, 100 at most.

    A box goes when one with a better score and the same class overlaps it by more than half of their union.
    ``boxes`` is [n, 4] x, y, width, height.
    """
    # OpenCV keeps classes apart by shifting each by more than the greatest coordinate; the least must be 0.
    shifted = boxes.astype(np.float64)
    shifted[:, :2] -= shifted[:, :2].min(axis=0, initial=np.inf)
    kept = cv2.dnn.NMSBoxesBatched(shifted.tolist(), scores.tolist(), classes.tolist(), -1.0, _MAX_IOU)
    return np.asarray(kept, np.intp)[:MAX_RESULTS]


def from_centres(rows: Floats) -> Floats:
    """[n, 4] cx, cy, width, height → x, y, width, height."""
    return np.concatenate((rows[:, :2] - rows[:, 2:] / 2, rows[:, 2:]), axis=1)


def from_corners(rows: Floats) -> Floats:
    """[n, 4] x1, y1, x2, y2 → x, y, width, height."""
    return np.concatenate((rows[:, :2], rows[:, 2:] - rows[:, :2]), axis=1)


def to_canvas(boxes: Floats, placement: Placement) -> Floats:
    """Boxes in network pixels → in canvas pixels."""
    return np.asarray((boxes - (placement.left, placement.top, 0, 0)) / placement.scale, np.float32)
