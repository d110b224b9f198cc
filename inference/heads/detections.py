"""The heads of detectors: boxes, scores and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import Head, HeadLayout, ModelInfo, Placement
from inference.flow import FlowField
from inference.heads.candidates import (
    Shape,
    UnknownHead,
    best,
    best_class_candidates,
    best_rows,
    from_centres,
    from_corners,
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
"""What exporters stop at. A one-class YOLOX head has as many columns, but more rows at any useful size."""


@dataclass(frozen=True, slots=True)
class FoundObjects(Found):
    """Objects, as `Found` says."""

    def results(
        self, things: Sequence[Thing], letterbox: Letterbox, flow: FlowField | None
    ) -> tuple[Detection, ...]:
        """As `Found.results`; the velocity of each is the flow in its box."""
        return tuple(
            Detection(*thing, velocity=None if flow is None else flow.velocity_in(thing.box))
            for thing in things
        )


def identify(shapes: Sequence[Shape], metadata: Mapping[str, str]) -> tuple[HeadLayout, int | None]:
    """The layout and the number of classes, where that is known, by the outputs' shapes and the exporter's
    metadata. Raises `UnknownHead`."""
    rows, columns = sides(shapes[0])
    ultralytics = "task" in metadata
    if columns == 6 and (ultralytics or (rows is not None and rows <= _MAX_END_TO_END_ROWS)):
        return HeadLayout.END_TO_END, None
    if columns is not None and columns > 5 and not ultralytics and (rows is None or rows > columns):
        return HeadLayout.YOLOX, columns - 5
    if rows is not None and rows > 4 and (ultralytics or columns is None or columns > rows):
        return HeadLayout.ULTRALYTICS_DETECT, rows - 4
    raise UnknownHead(
        f"output {list(shapes[0])} is no head of a detector that is known: YOLOX [batch, N, 5 + classes], "
        f"Ultralytics [batch, 4 + classes, N] or end-to-end [batch, N, 6]"
    )


def decode(head: Head, info: ModelInfo, threshold: float) -> FoundObjects:
    """Decodes one item of a detector's output (no batch axis); scores below ``threshold`` are left out.

    Raises `UnknownHead` when a YOLOX head does not have the anchors of its network's size.
    """
    placement, (output, *_) = placement_of(info), head
    if info.layout is HeadLayout.END_TO_END:
        rows = best_rows(output, threshold)
        # The head's shape does not say how many classes it has, and padding may be of class -1.
        rows = rows[(rows[:, 5] >= 0) & (rows[:, 5] < len(info.labels))]
        boxes, scores, classes = from_corners(rows[:, :4]), rows[:, 4], rows[:, 5].astype(np.intp)
        kept = sound(boxes)
    else:
        if info.layout is HeadLayout.YOLOX:
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
    highest = scores[np.arange(len(likely)), classes]
    kept = best(np.flatnonzero(highest >= threshold), highest[highest >= threshold])
    rows = head[likely[kept], :4]
    offsets, strides = np.split(cells[likely[kept]], [2], axis=1)
    centres = (rows[:, :2] + offsets) * strides
    with np.errstate(over="ignore"):  # `sound` leaves out what is infinite
        sizes = np.exp(rows[:, 2:4]) * strides
    return np.concatenate((centres, sizes), axis=1), highest[kept], classes[kept]


def _yolox_cells(width: int, height: int) -> Floats:
    """[N, 3]: column, row and stride of each anchor."""
    cells = []
    for stride in _YOLOX_STRIDES:
        row, column = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack((column.ravel(), row.ravel(), np.full(row.size, stride)), axis=1))
    return np.concatenate(cells).astype(np.float32)
