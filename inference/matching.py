"""Pairs two sets of objects: overlap of boxes, fit of keypoints, and assignment."""

from __future__ import annotations

import itertools

import numpy as np

from inference.types import Floats

_SURE = 0.3
"""Least score of a keypoint that is used."""
_ENOUGH = 5
"""Least number of used keypoints whose middle counts."""
_OFF = 0.3
"""Scale of the distance between the middles, in sides of the box."""
_LEAST_SIDE = 1e-3
_FAR = 1e3


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of each of ``a`` [n, 4] with each of ``b`` [m, 4], as float32 [n, m].

    Boxes are x, y, width, height.
    """
    top_left = np.maximum(a[:, np.newaxis, :2], b[:, :2])
    bottom_right = np.minimum(a[:, np.newaxis, :2] + a[:, np.newaxis, 2:], b[:, :2] + b[:, 2:])
    width, height = np.maximum(bottom_right - top_left, 0.0).transpose(2, 0, 1)
    shared = width * height
    union = (a[:, 2] * a[:, 3])[:, np.newaxis] + b[:, 2] * b[:, 3] - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float32).tiny), np.float32)


def keypoint_fit(keypoints: Floats, boxes: Floats) -> Floats:
    """Returns how well each set of keypoints lies in each box: float32 [n, m], 0..1.

    ``keypoints`` is [n, k, 3]: x, y, score. ``boxes`` is [m, 4]: x, y, width, height. Keypoints with a score
    below 0.3 are ignored. If none is left, the fit is 1.

    The fit is the share of keypoints inside the box. With five keypoints or more it is reduced if their
    middle is far from the middle of the box. This tells apart persons who stand behind each other.
    """
    points, sure = keypoints[:, :, :2], keypoints[:, :, 2] >= _SURE
    low, size = boxes[:, :2], boxes[:, 2:]
    each = points[:, np.newaxis]
    inside = ((each >= low[:, np.newaxis]) & (each <= (low + size)[:, np.newaxis])).all(axis=3)
    count = sure.sum(axis=1)[:, np.newaxis]
    share = np.where(count > 0, (inside & sure[:, np.newaxis]).sum(axis=2) / np.maximum(count, 1), 1.0)
    shown = np.broadcast_to(sure[:, :, np.newaxis], points.shape)
    left_top = points.min(axis=1, where=shown, initial=_FAR)
    right_bottom = points.max(axis=1, where=shown, initial=-_FAR)
    off = ((left_top + right_bottom) / 2)[:, np.newaxis] - (low + size / 2)
    centred = np.exp(-((off / (_OFF * np.maximum(size, _LEAST_SIDE))) ** 2).sum(axis=2))
    return np.asarray(share * np.where(count >= _ENOUGH, centred, 1.0), np.float32)


def best_pairs(worth: Floats) -> list[tuple[int, int]]:
    """Returns (row, column) pairs with a ``worth`` above 0, each row and column once at most.

    The assignment is greedy. Then any two pairs exchange columns if that raises the sum of their worth, which
    keeps objects apart that cross.
    """
    rows, columns = np.nonzero(worth > 0)
    order = np.argsort(-worth[rows, columns], kind="stable")
    column_of: dict[int, int] = {}
    taken = set[int]()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in column_of and column not in taken:
            column_of[row] = column
            taken.add(column)
    pairs = list(column_of.items())
    if len(pairs) < len(rows):
        _exchange(pairs, worth.tolist())
    return pairs


_PASSES = 4
"""Bound of the passes; one is nearly always enough."""


def _exchange(pairs: list[tuple[int, int]], worth: list[list[float]]) -> None:
    for _ in range(_PASSES):
        settled = True
        for i, j in itertools.combinations(range(len(pairs)), 2):
            (a, x), (b, y) = pairs[i], pairs[j]
            crossed, back = worth[a][y], worth[b][x]
            if crossed > 0 and back > 0 and crossed + back > worth[a][x] + worth[b][y]:
                pairs[i], pairs[j] = (a, y), (b, x)
                settled = False
        if settled:
            return
