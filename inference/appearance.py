"""Colour descriptors of tracked objects, and how well colours tell these objects apart."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from inference.types import Floats, Image

_COLUMNS, _ROWS = 80, 60
"""Size in pixels of the thumbnail from which colours are taken."""
_PARTS = 6
_STEPS = np.arange(_PARTS + 1)
_EDGES = np.array((0.25, 0.75, *(0.05 + 0.9 * _STEPS / _PARTS)), np.float32)
"""Edges of the sampled parts as shares of a box: left, right, then the parts' edges from the top.

The sides are left out, as they mostly show the background.
"""
_OF_BOX = [0, 0] + [1] * (_PARTS + 1)
_SCALE = np.array((_COLUMNS, _ROWS, _COLUMNS, _ROWS), np.float32)
_LAST = np.array([_COLUMNS - 1] * 2 + [_ROWS - _PARTS] * (_PARTS + 1), np.float32)
_LEAST = 0.01
_LEARNS = 0.05
_EVIDENCE = 3.0
"""Number of independent measurements that a descriptor counts as. Its 18 values are correlated."""
_MOST = 6.0
"""Bound of the log-likelihood ratio, large enough to outweigh any position."""

_NONE = np.zeros((0, 0), np.float32)


def looks_of(picture: Image, boxes: Floats) -> Floats:
    """Returns a colour descriptor for each box: float32 [n, 18], mean RGB in 0..1 of six parts from the top.

    ``boxes`` is float32 [n, 4]: x, y, width, height normalised to ``picture``.
    """
    sums = cv2.integral(cv2.resize(picture, (_COLUMNS, _ROWS), interpolation=cv2.INTER_LINEAR))
    scaled = boxes * _SCALE
    edges = scaled[:, :2][:, _OF_BOX] + scaled[:, 2:][:, _OF_BOX] * _EDGES
    places = np.minimum(np.maximum(edges, 0), _LAST).astype(np.intp)
    x, y = places[:, :2], places[:, 2:]
    # Each part covers at least one pixel.
    x[:, 1] = np.maximum(x[:, 1], x[:, 0] + 1)
    y = np.maximum.accumulate(y - _STEPS, axis=1) + _STEPS
    corners = sums[y[:, :, np.newaxis], x[:, np.newaxis]]
    above = corners[:, :, 1] - corners[:, :, 0]
    count = (y[:, 1:] - y[:, :-1]) * (x[:, 1:] - x[:, :1])
    colours = (above[:, 1:] - above[:, :-1]) / (255.0 * count[:, :, np.newaxis])
    return np.asarray(colours.reshape(-1, 3 * _PARTS), np.float32)


class Appearance:
    """Weighs differences of descriptors by how well they have told objects apart so far.

    It measures the mean difference of one object from frame to frame, and that of different objects. If both
    are equal, as in a grey picture, descriptors count nothing.
    """

    def __init__(self) -> None:
        self._same, self._different = 0.05, 0.15
        """Mean absolute differences of descriptors, 0..1: of one object, and of different objects."""
        self._off = _NONE

    def worth(self, looks: Floats, known: Floats) -> Floats:
        """Returns log-likelihood ratios, float32 [n, m]: above 0 if a pair is likelier one object than two.

        ``looks`` is [n, k] and ``known`` [m, k]. Differences are taken as exponentially distributed.
        """
        self._off = np.abs(looks[:, np.newaxis] - known).mean(axis=2)
        same, different = max(self._same, _LEAST), max(self._different, self._same, _LEAST)
        says = np.log(different / same) - self._off * (1 / same - 1 / different)
        return np.asarray((_EVIDENCE * says).clip(-_MOST, _MOST), np.float32)

    def learn(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Updates the mean differences: ``pairs`` (row, column) of the last `worth` were one object each."""
        off, self._off = self._off, _NONE
        if not (pairs and off.size):
            return
        rows, columns = zip(*pairs, strict=True)
        same, all_together = float(off[rows, columns].sum()), float(off.sum())
        self._same += _LEARNS * (same / len(pairs) - self._same)
        if off.size > len(pairs):
            self._different += _LEARNS * ((all_together - same) / (off.size - len(pairs)) - self._different)
