"""The heads of segmentation models: objects with an outline.

Source: Bolya et al., "YOLACT", ICCV 2019. The network gives 32 prototype masks of the picture, and 32
coefficients for each object. An object's mask is the part of its box where the weighted sum of the prototypes
is above zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from inference.engines.contract import Head, HeadLayout, ModelInfo, Placement
from inference.heads.candidates import (
    Shape,
    UnknownHead,
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
from inference.rounding import COORDINATE_DIGITS, rounded
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats, Segment

PROTOTYPES = 32
MAX_SEGMENTS = 20
"""Segments of one frame at most. With `MAX_POINTS` points each they add 22 kB to a result, and about 2 ms."""
MAX_POINTS = 64
_MAX_SIDE = 128
"""Cells along a side of an object's box at most. A cell is one canvas pixel, or larger for large boxes.

So the cost is bounded whatever the size of the network. A pixel of the mask covers 4 network pixels anyway.
"""
_TOLERANCE = 1.0
"""Cells between an outline and the edge of the mask; more if the outline has too many points."""


@dataclass(frozen=True, slots=True)
class FoundSegments(Found):
    """Objects. ``polygons`` are n outlines, float32 [at most 64, 2]: x, y in canvas pixels.

    If a mask has several pieces, the outline is that of the largest piece. It is empty for an empty mask.
    """

    polygons: tuple[Floats, ...]

    def results(self, things: Sequence[Thing], letterbox: Letterbox) -> tuple[Segment, ...]:
        """As `Found.results`."""
        outlines = (letterbox.points_to_frame(polygon).clip(0.0, 1.0) for polygon in self.polygons)
        return tuple(
            Segment(*thing[:4], polygon=tuple(map(tuple, rounded(outline, COORDINATE_DIGITS).tolist())))
            for thing, outline in zip(things, outlines, strict=True)
        )


def identify(shapes: Sequence[Shape], metadata: Mapping[str, str]) -> tuple[HeadLayout, int | None]:
    """Returns the layout and the number of classes, ``None`` if unknown, by the outputs' shapes.

    Raises `UnknownHead`.
    """
    rows, columns = sides(shapes[0])
    if len(shapes) > 1 and len(shapes[1]) == 4 and shapes[1][1] == PROTOTYPES:
        if columns == 6 + PROTOTYPES:
            return HeadLayout.END_TO_END, None
        if rows is not None and rows > 4 + PROTOTYPES:
            return HeadLayout.ULTRALYTICS_SEGMENT, rows - 4 - PROTOTYPES
    raise UnknownHead(
        f"outputs {', '.join(str(list(shape)) for shape in shapes)} are no known segmentation head: "
        f"Ultralytics [batch, 4 + classes + 32, N] or end-to-end [batch, N, 6 + 32], each with prototypes "
        f"[batch, 32, height, width]"
    )


def decode(head: Head, info: ModelInfo, threshold: float) -> FoundSegments:
    """Decodes one item of a segmentation model's outputs (no batch axis), the best 20 objects at most.

    Scores below ``threshold`` are left out. Raises `UnknownHead` if there are not 32 prototypes.
    """
    placement, (output, prototypes) = placement_of(info), head
    if prototypes.ndim != 3 or len(prototypes) != PROTOTYPES:
        raise UnknownHead(f"output {list(prototypes.shape)} is no set of {PROTOTYPES} prototypes")
    if info.layout is HeadLayout.END_TO_END:
        rows = best_rows(output, threshold)
        rows = rows[(rows[:, 5] >= 0) & (rows[:, 5] < len(info.labels))]
        boxes, scores, classes = from_corners(rows[:, :4]), rows[:, 4], rows[:, 5].astype(np.intp)
        coefficients = rows[:, 6:]
        kept = sound(boxes, coefficients)
    else:
        if info.layout is HeadLayout.CANDIDATES:
            rows = likely_rows(output, threshold)
            scores, classes, coefficients = rows[:, 4], rows[:, 5].astype(np.intp), rows[:, 6:]
        else:
            class_count = len(output) - 4 - PROTOTYPES
            anchors, scores, classes = best_class_candidates(output, class_count, threshold)
            rows, coefficients = output[:4, anchors].T, output[-PROTOTYPES:, anchors].T
        boxes = from_centres(rows[:, :4])
        kept = sound(boxes, coefficients)
        kept = kept[suppress(boxes[kept], scores[kept], classes[kept])]
    kept = kept[:MAX_SEGMENTS]
    canvas_boxes = to_canvas(boxes[kept], placement)
    with np.errstate(all="ignore"):  # NaN is not above zero.
        # Not a matrix product: OpenBLAS would use threads, and wait for them if all processors are busy.
        masks = np.einsum("nk,khw->nhw", coefficients[kept], prototypes)
    polygons = tuple(_outline(mask, box, placement) for mask, box in zip(masks, canvas_boxes, strict=True))
    return FoundSegments(canvas_boxes, scores[kept].clip(0, 1), classes[kept], polygons)


def _outline(mask: Floats, box: Floats, placement: Placement) -> Floats:
    """Returns the outline of the part of ``mask`` above zero inside ``box``, in canvas pixels.

    ``mask`` is [height, width] over the whole input of the network. ``box`` is in canvas pixels.
    """
    left, top = np.maximum(box[:2], 0).tolist()
    right, bottom = np.minimum(box[:2] + box[2:], (FRAME_WIDTH, FRAME_HEIGHT)).tolist()
    if right <= left or bottom <= top:
        return _NO_OUTLINE
    step = max(1.0, (right - left) / _MAX_SIDE, (bottom - top) / _MAX_SIDE)
    columns, rows = math.ceil((right - left) / step), math.ceil((bottom - top) / step)
    height, width = mask.shape
    across, down = width / placement.width, height / placement.height
    # Maps the middle of each cell to the mask, whose pixel (0, 0) has its middle at (0.5, 0.5).
    x = (left + step / 2) * placement.scale + placement.left
    y = (top + step / 2) * placement.scale + placement.top
    to_mask = np.array(
        (
            (step * placement.scale * across, 0, x * across - 0.5),
            (0, step * placement.scale * down, y * down - 0.5),
        )
    )
    cells = cv2.warpAffine(
        mask,
        to_mask,
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    pieces, _ = cv2.findContours(np.asarray(cells > 0, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not pieces:
        return _NO_OUTLINE
    largest, tolerance = max(pieces, key=cv2.contourArea), _TOLERANCE
    points = cv2.approxPolyDP(largest, tolerance, True)
    while len(points) > MAX_POINTS:
        tolerance *= 1.5
        points = cv2.approxPolyDP(largest, tolerance, True)
    if len(points) < 3:
        return _NO_OUTLINE
    outline = (points[:, 0] + 0.5) * step + (left, top)
    return np.asarray(outline.clip(box[:2], box[:2] + box[2:]), np.float32)


_NO_OUTLINE = np.empty((0, 2), np.float32)
