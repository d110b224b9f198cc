"""From raw YOLO heads to boxes, scores, classes and keypoints, in pixels of the 320×240 canvas.

A candidate with a number that is not finite, or whose box has no area, is left out: it would upset the
tracker, and JSON cannot carry it. Scores are cut to 0..1; quantised models give some a little over 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import HeadLayout, ModelInfo, Placement, Task
from inference.nms import keep_best
from inference.types import Floats

KEYPOINTS = 17
_MAX_RESULTS = 100
_MAX_CANDIDATES = 300
"""Boxes that go into non-maximum suppression: the best ones. Bounds its cost in a crowded picture."""
_MAX_IOU = 0.5
_FAR_AWAY = 1e6
"""Pixels. What is farther away than this is no coordinate, and could overflow an area."""
_YOLOX_STRIDES = (8, 16, 32)
_MAX_END_TO_END_ROWS = 300
"""What exporters stop at. A one-class YOLOX head has as many columns, but more rows at any useful size."""


class UnknownHead(ValueError):
    """A model output that is none of the layouts of `HeadLayout`; the message names its shape."""


@dataclass(frozen=True, slots=True)
class DecodedDetections:
    """n objects, best first: ``boxes`` float32 [n, 4] x, y, width, height in canvas pixels, ``scores``
    float32 [n], ``classes`` [n] indices into the model's labels."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class DecodedPoses:
    """n persons, best first: ``boxes`` and ``scores`` as in `DecodedDetections`, ``keypoints`` float32
    [n, 17, 3] x, y in canvas pixels and a score in 0..1."""

    boxes: Floats
    scores: Floats
    keypoints: Floats


def identify_layout(shape: Sequence[int | str | None], metadata: Mapping[str, str], task: Task) -> HeadLayout:
    """Tells the layout by the output's shape [batch, a, b], where sizes known only at run time are not
    numbers, and by the exporter's metadata. Raises `UnknownHead`.
    """
    ultralytics = "task" in metadata
    if len(shape) == 3:
        rows, columns = (size if isinstance(size, int) else None for size in shape[1:])
        if task is Task.POSE:
            if rows == 5 + 3 * KEYPOINTS:
                return HeadLayout.ULTRALYTICS_POSE
            if columns == 6 + 3 * KEYPOINTS:
                return HeadLayout.END_TO_END
        elif columns == 6 and (ultralytics or (rows is not None and rows <= _MAX_END_TO_END_ROWS)):
            return HeadLayout.END_TO_END
        elif columns is not None and columns > 5 and not ultralytics and (rows is None or rows > columns):
            return HeadLayout.YOLOX
        elif rows is not None and rows > 4 and (ultralytics or columns is None or columns > rows):
            return HeadLayout.ULTRALYTICS_DETECT
    raise UnknownHead(
        f"output {list(shape)} is no {task} head that is known: YOLOX [batch, N, 5 + classes], "
        f"Ultralytics detect [batch, 4 + classes, N] or pose [batch, 56, N], or end-to-end [batch, N, 6] "
        f"or [batch, N, 57]"
    )


def decode_detections(head: Floats, info: ModelInfo, threshold: float) -> DecodedDetections:
    """Decodes one item of a detector's output (no batch axis); scores below ``threshold`` are left out.

    Raises `UnknownHead` when a YOLOX head does not have the anchors of its network's size.
    """
    placement = _placement(info)
    if info.layout is HeadLayout.END_TO_END:
        rows = _best_rows(head, threshold)
        # The head's shape does not say how many classes it has, and padding may be of class -1.
        rows = rows[(rows[:, 5] >= 0) & (rows[:, 5] < len(info.labels))]
        boxes, scores, classes = _from_corners(rows[:, :4]), rows[:, 4], rows[:, 5].astype(np.intp)
        kept = _sound(boxes)
    else:
        if info.layout is HeadLayout.YOLOX:
            rows, scores, classes = _yolox_candidates(head, placement, threshold)
        else:
            rows, scores, classes = _ultralytics_candidates(head, threshold)
        boxes = _from_centres(rows)
        kept = _sound(boxes)
        kept = kept[keep_best(boxes[kept], scores[kept], classes[kept], _MAX_IOU, _MAX_RESULTS)]
    return DecodedDetections(_to_canvas(boxes[kept], placement), scores[kept].clip(0, 1), classes[kept])


def decode_poses(head: Floats, info: ModelInfo, threshold: float) -> DecodedPoses:
    """Decodes one item of a pose model's output (no batch axis); as `decode_detections`."""
    placement = _placement(info)
    if info.layout is HeadLayout.END_TO_END:
        rows = _best_rows(head, threshold)
        boxes, scores, points = _from_corners(rows[:, :4]), rows[:, 4], rows[:, 6:]
        kept = _sound(boxes, points)
    else:
        found = np.flatnonzero(head[4] >= threshold)
        rows = head[:, _best(found, head[4, found])].T
        boxes, scores, points = _from_centres(rows[:, :4]), rows[:, 4], rows[:, 5:]
        kept = _sound(boxes, points)
        one_class = np.zeros(len(kept), np.intp)
        kept = kept[keep_best(boxes[kept], scores[kept], one_class, _MAX_IOU, _MAX_RESULTS)]
    keypoints = points[kept].reshape(-1, KEYPOINTS, 3).copy()
    keypoints[..., 0] = (keypoints[..., 0] - placement.left) / placement.scale
    keypoints[..., 1] = (keypoints[..., 1] - placement.top) / placement.scale
    keypoints[..., 2] = keypoints[..., 2].clip(0, 1)
    return DecodedPoses(_to_canvas(boxes[kept], placement), scores[kept].clip(0, 1), keypoints)


def _placement(info: ModelInfo) -> Placement:
    if info.placement is None:
        raise ValueError(f"{info.name} is not a YOLO model")
    return info.placement


def _yolox_candidates(
    head: Floats, placement: Placement, threshold: float
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Grid decoding of Ge et al., "YOLOX", 2021: centre = (cell + offset) · stride, size = exp · stride."""
    cells = _yolox_cells(placement.width, placement.height)
    if len(cells) != len(head):
        raise UnknownHead(
            f"output [{len(head)}, {head.shape[1]}] is no YOLOX head: with strides {_YOLOX_STRIDES} a "
            f"{placement.width}×{placement.height} network has {len(cells)} rows"
        )
    likely = np.flatnonzero(head[:, 4] >= threshold)  # score = objectness · class, so at most this
    scores = head[likely, 4:5] * head[likely, 5:]
    classes = scores.argmax(axis=1)
    best = scores[np.arange(len(likely)), classes]
    kept = _best(np.flatnonzero(best >= threshold), best[best >= threshold])
    rows = head[likely[kept], :4]
    offsets, strides = np.split(cells[likely[kept]], [2], axis=1)
    centres = (rows[:, :2] + offsets) * strides
    with np.errstate(over="ignore"):  # `_sound` leaves out what is infinite
        sizes = np.exp(rows[:, 2:4]) * strides
    return np.concatenate((centres, sizes), axis=1), best[kept], classes[kept]


def _yolox_cells(width: int, height: int) -> Floats:
    """[N, 3]: column, row and stride of each anchor."""
    cells = []
    for stride in _YOLOX_STRIDES:
        row, column = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack((column.ravel(), row.ravel(), np.full(row.size, stride)), axis=1))
    return np.concatenate(cells).astype(np.float32)


def _ultralytics_candidates(head: Floats, threshold: float) -> tuple[Floats, Floats, NDArray[np.intp]]:
    scores = head[4:].max(axis=0)
    found = np.flatnonzero(scores >= threshold)
    kept = _best(found, scores[found])
    return head[:4, kept].T, scores[kept], head[4:, kept].argmax(axis=0)


def _best(indices: NDArray[np.intp], scores: Floats) -> NDArray[np.intp]:
    """Those of ``indices`` with the best scores, at most `_MAX_CANDIDATES`."""
    if len(indices) <= _MAX_CANDIDATES:
        return indices
    return indices[np.argpartition(-scores, _MAX_CANDIDATES)[:_MAX_CANDIDATES]]


def _best_rows(head: Floats, threshold: float) -> Floats:
    rows = head[head[:, 4] >= threshold]
    return rows[np.argsort(-rows[:, 4], kind="stable")][:_MAX_RESULTS]


def _sound(boxes: Floats, points: Floats | None = None) -> NDArray[np.intp]:
    """Indices of the rows whose numbers are finite and of a sane size, and whose box has an area."""
    numbers = boxes if points is None else np.concatenate((boxes, points), axis=1)
    return np.flatnonzero((np.abs(numbers) < _FAR_AWAY).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))


def _from_centres(rows: Floats) -> Floats:
    return np.concatenate((rows[:, :2] - rows[:, 2:] / 2, rows[:, 2:]), axis=1)


def _from_corners(rows: Floats) -> Floats:
    return np.concatenate((rows[:, :2], rows[:, 2:] - rows[:, :2]), axis=1)


def _to_canvas(boxes: Floats, placement: Placement) -> Floats:
    return np.asarray((boxes - (placement.left, placement.top, 0, 0)) / placement.scale, np.float32)
