"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.types import Floats


def keep_best(
    boxes: Floats, scores: Floats, classes: NDArray[np.intp], max_iou: float, most: int
) -> NDArray[np.intp]:
    """Indices of the boxes to keep, best first, at most ``most``.

    A box goes when one with a better score and the same class overlaps it by more than ``max_iou``.
    ``boxes`` is [n, 4] x, y, width, height; n should be a few hundred at most (the overlaps are n²).
    """
    order = np.argsort(-scores, kind="stable")
    boxes, classes = boxes[order], classes[order]
    left, top, width, height = boxes.T
    right, bottom = left + width, top + height
    # Axis by axis: three times as fast as both at once with numpy's reduction over a last axis of two.
    shared_width = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    shared_height = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    shared = shared_width.clip(0) * shared_height.clip(0)
    area = width * height
    rivals = (shared > max_iou * (area[:, None] + area - shared)) & (classes[:, None] == classes)
    kept: list[int] = []
    gone = np.zeros(len(order), np.bool_)
    for index in range(len(order)):
        if not gone[index]:
            kept.append(index)
            if len(kept) == most:
                break
            gone |= rivals[index]
    return order[kept]
