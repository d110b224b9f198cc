"""The heads of detectors: boxes, scores and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import Head, HeadLayout, ModelInfo, Placement
from inference.heads.candidates import (
    Shape,
    UnknownHead,
    best,
    best_class_candidates,
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
from inference.types import Detection, Floats

_YOLOX_STRIDES = (8, 16, 32)
_MAX_END_TO_END_ROWS = 300
"""Rows of an end-to-end head at most. A one-class YOLOX head has 6 columns, too, but more rows."""


@dataclass(frozen=True, slots=True)
class FoundObjects(Found):
    """Objects, with the fields of `Found`."""

    def results(self, things: Sequence[Thing], letterbox: Letterbox) -> tuple[Detection, ...]:
        """As `Found.results`."""
        return tuple(Detection(*thing) for thing in things)


def identify(shapes: Sequence[Shape], metadata: Mapping[str, str]) -> tuple[HeadLayout, int | None]:
    """Returns the layout and the number of classes, ``None`` if unknown. Raises `UnknownHead`.

    The shapes of the outputs and the exporter's metadata decide.
    """
    rows, columns = sides(shapes[0])
    ultralytics = "task" in metadata
    if columns == 6 and (ultralytics or (rows is not None and rows <= _MAX_END_TO_END_ROWS)):
        return HeadLayout.END_TO_END, None
    if columns is not None and columns > 5 and not ultralytics and (rows is None or rows > columns):
        return HeadLayout.YOLOX, columns - 5
    if rows is not None and rows > 4 and (ultralytics or columns is None or columns > rows):
        return HeadLayout.ULTRALYTICS_DETECT, rows - 4
    raise UnknownHead(
        f"output {list(shapes[0])} is no known head of a detector: YOLOX [batch, N, 5 + classes], "
        f"Ultralytics [batch, 4 + classes, N] or end-to-end [batch, N, 6]"
    )


def decode(head: Head, info: ModelInfo, threshold: float) -> FoundObjects:
    """Decodes one item of a detector's output (no batch axis); scores below ``threshold`` are left out.

    Raises `UnknownHead` if the rows of a YOLOX head do not match the size of the network.
    """
    placement, (output, *_) = placement_of(info), head
    if info.layout is HeadLayout.END_TO_END:
        rows = best_rows(output, threshold)
        # The shape does not give the number of classes, and padding may have class -1.
        rows = rows[(rows[:, 5] >= 0) & (rows[:, 5] < len(info.labels))]
        boxes, scores, classes = from_corners(rows[:, :4]), rows[:, 4], rows[:, 5].astype(np.intp)
        kept = sound(boxes)
    else:
        if info.layout is HeadLayout.CANDIDATES:
            rows = likely_rows(output, threshold)
            rows, scores, classes = rows[:, :4], rows[:, 4], rows[:, 5].astype(np.intp)
        elif info.layout is HeadLayout.YOLOX:
            rows, scores, classes = _yolox_candidates(output, placement, threshold)
        else:
            anchors, scores, classes = best_class_candidates(output, len(output) - 4, threshold)
            rows = output[:4, anchors].T
        boxes = from_centres(rows)
        kept = sound(boxes)
        kept = kept[suppress(boxes[kept], scores[kept], classes[kept])]
    return FoundObjects(to_canvas(boxes[kept], placement), scores[kept].clip(0, 1), classes[kept])


def _yolox_candidates(
    head: Floats, placement: Placement, threshold: float
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Decodes the grid after Ge et al., "YOLOX", 2021: centre = (cell + offset) · stride, size = exp ·
    stride.

    Returns rows [n, 4] cx, cy, width, height in network pixels, scores and classes.
    """
    cells = yolox_cells(placement.width, placement.height)
    if len(cells) != len(head):
        raise UnknownHead(
            f"output [{len(head)}, {head.shape[1]}] is no YOLOX head: with strides {_YOLOX_STRIDES} a "
            f"{placement.width}×{placement.height} network has {len(cells)} rows"
        )
    likely = np.flatnonzero(head[:, 4] >= threshold)  # score = objectness · class, so at most this
    scores = head[likely, 4:5] * head[likely, 5:]
    classes = scores.argmax(axis=1)
    highest = scores[np.arange(len(likely)), classes]
    kept = best(np.flatnonzero(highest >= threshold), highest[highest >= threshold])
    rows = head[likely[kept], :4]
    offsets, strides = np.split(cells[likely[kept]], [2], axis=1)
    centres = (rows[:, :2] + offsets) * strides
    with np.errstate(over="ignore"):  # `sound` leaves out infinite sizes
        sizes = np.exp(rows[:, 2:4]) * strides
    return np.concatenate((centres, sizes), axis=1), highest[kept], classes[kept]


def yolox_cells(width: int, height: int) -> Floats:
    """Returns column, row and stride in pixels of each anchor, float32 [N, 3]."""
    cells = []
    for stride in _YOLOX_STRIDES:
        row, column = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack((column.ravel(), row.ravel(), np.full(row.size, stride)), axis=1))
    return np.concatenate(cells).astype(np.float32)
