"""Functions for all heads: choosing among candidates, and conversion to the 320×240 canvas.

Candidates with numbers that are not finite, or with a box without area, are left out. The tracker cannot use
them, and JSON cannot encode them. Scores are clipped to 0..1, as quantised models give some above 1.
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
"""Shape of an output, with its batch axis. Sizes known only at run time are not numbers."""

MAX_RESULTS = 100
MAX_CANDIDATES = 300
"""Best candidates that enter non-maximum suppression. The bound limits its cost in a crowded picture."""
_MAX_IOU = 0.5
_FAR_AWAY = 1e6
"""Bound of coordinates in network pixels, so that areas cannot overflow."""


class UnknownHead(ValueError):
    """An output in none of the layouts of `HeadLayout`; the message names its shape."""


def sides(shape: Shape) -> tuple[int | None, int | None]:
    """Returns a and b of a head [batch, a, b], ``None`` if dynamic. Raises `UnknownHead`."""
    if len(shape) != 3:
        raise UnknownHead(f"output {list(shape)} is no known head")
    rows, columns = (size if isinstance(size, int) else None for size in shape[1:])
    return rows, columns


def placement_of(info: ModelInfo) -> Placement:
    """Returns the placement of the canvas in the input. Raises `ValueError` if the model has none."""
    if info.placement is None:
        raise ValueError(f"{info.name} does not take the frame")
    return info.placement


def best(indices: NDArray[np.intp], scores: Floats) -> NDArray[np.intp]:
    """Returns those of ``indices`` with the highest scores, 300 at most."""
    if len(indices) <= MAX_CANDIDATES:
        return indices
    return indices[np.argpartition(-scores, MAX_CANDIDATES)[:MAX_CANDIDATES]]


def best_class_candidates(
    head: Floats, classes: int, threshold: float
) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
    """Returns anchors, scores and classes of the best candidates in a head [4 + classes + more, N]."""
    class_scores = head[4 : 4 + classes]
    scores = class_scores.max(axis=0)
    found = np.flatnonzero(scores >= threshold)
    kept = best(found, scores[found])
    return kept, scores[kept], class_scores[:, kept].argmax(axis=0)


def likely_rows(head: Floats, threshold: float) -> Floats:
    """Returns rows of a `HeadLayout.CANDIDATES` head [N, 6 + more], which the model has sorted."""
    return head[head[:, 4] >= threshold]


def best_rows(head: Floats, threshold: float) -> Floats:
    """Returns rows of an end-to-end head [N, 6 + more], best first, 100 at most."""
    rows = head[head[:, 4] >= threshold]
    return rows[np.argsort(-rows[:, 4], kind="stable")][:MAX_RESULTS]


def sound(boxes: Floats, others: Floats | None = None) -> NDArray[np.intp]:
    """Returns indices of the rows with finite numbers below 10⁶ and a box [x, y, width, height] with area."""
    numbers = boxes if others is None else np.concatenate((boxes, others), axis=1)
    return np.flatnonzero((np.abs(numbers) < _FAR_AWAY).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))


def suppress(boxes: Floats, scores: Floats, classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Non-maximum suppression: indices of the boxes to keep, best first, 100 at most.

    A box is dropped if its IoU with a box of the same class and a higher score exceeds 0.5. ``boxes`` is
    [n, 4]: x, y, width, height.
    """
    # OpenCV separates classes by an offset above the largest coordinate; the smallest must be 0.
    shifted = boxes.astype(np.float64)
    shifted[:, :2] -= shifted[:, :2].min(axis=0, initial=np.inf)
    kept = cv2.dnn.NMSBoxesBatched(shifted.tolist(), scores.tolist(), classes.tolist(), -1.0, _MAX_IOU)
    return np.asarray(kept, np.intp)[:MAX_RESULTS]


def from_centres(rows: Floats) -> Floats:
    """Converts [n, 4] cx, cy, width, height to x, y, width, height."""
    return np.concatenate((rows[:, :2] - rows[:, 2:] / 2, rows[:, 2:]), axis=1)


def from_corners(rows: Floats) -> Floats:
    """Converts [n, 4] x1, y1, x2, y2 to x, y, width, height."""
    return np.concatenate((rows[:, :2], rows[:, 2:] - rows[:, :2]), axis=1)


def to_canvas(boxes: Floats, placement: Placement) -> Floats:
    """Converts boxes [n, 4] from network pixels to canvas pixels."""
    return np.asarray((boxes - (placement.left, placement.top, 0, 0)) / placement.scale, np.float32)
