"""Finds lines of text, and cuts each out for the recogniser.

A quad is float32 [4, 2]: x, y of the corners of a line, normalised to the frame. They go clockwise from the
text's own top left.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from inference.types import Floats, Image

LINE_HEIGHT = 48
"""Height in pixels of a line for the recogniser, as in the training of PP-OCR."""

READABLE_SIDE = 1920
"""Longer side in pixels of the picture that OCR reads. A larger picture would not be read better.

The smallest line that the detector finds is 6 of its 640 pixels high. In this picture that line is 18 pixels
high, and is enlarged to `LINE_HEIGHT`.
"""

MAX_LINES = 64

MAX_TEXT_WIDTH = MAX_LINES * 320
"""Width in pixels of all lines of a run together, at `LINE_HEIGHT`. It bounds the cost of a run.

This width takes two seconds of one processor. A page of the longest lines would take eight.
"""

_LONGEST_SIDE = 640
_STRIDE = 32
_PIXEL_THRESHOLD = 0.3
_LINE_THRESHOLD = 0.6
_MIN_SIDE = 3.0
_UNCLIP_RATIO = 1.6
_VERTICAL_ASPECT = 1.5
_MAX_LINE_WIDTH = 1280
_PADDING = 127
"""Mid grey: zero once the recogniser's input is normalised to -1..1."""


def resize_for_detector(frame: Image) -> Image:
    """Scales ``frame`` down to a longer side of 640 pixels, and stretches both sides to multiples of 32.

    A smaller frame keeps its size but for the stretch. The detector's map then covers exactly the frame, so
    both share normalised coordinates.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    sides = [max(1, round(side * scale / _STRIDE)) * _STRIDE for side in (width, height)]
    return np.asarray(cv2.resize(frame, sides, interpolation=cv2.INTER_AREA), np.uint8)


def find_lines(text_map: Floats, width: int, height: int) -> list[Floats]:
    """Returns the quads of the largest lines in reading order, within `MAX_LINES` and `MAX_TEXT_WIDTH`.

    ``text_map`` is the detector's text probability, float32 [map height, map width] in 0..1. ``width`` and
    ``height`` are the frame's pixels. The map shows lines shrunk to their core. Each line is
    grown back by area * ratio / perimeter.

    Source: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020.
    """
    map_height, map_width = text_map.shape
    mask = (text_map > _PIXEL_THRESHOLD).astype(np.uint8)
    regions, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    quads: list[Floats] = []
    text_width = 0
    for region in sorted(regions, key=cv2.contourArea, reverse=True)[:MAX_LINES]:
        center, (side_a, side_b), angle = cv2.minAreaRect(region)
        if min(side_a, side_b) < _MIN_SIDE:
            continue
        if _mean_inside(text_map, _rectangle(center, side_a, side_b, angle)) < _LINE_THRESHOLD:
            continue
        growth = _UNCLIP_RATIO * side_a * side_b / (side_a + side_b)
        # A contour runs through pixel centres: it needs half a pixel more on each side, and the same offset.
        grown = _rectangle(center, side_a + growth + 1, side_b + growth + 1, angle) + 0.5
        quad = _from_top_left(grown * (width / map_width, height / map_height))
        text_width += _line_width(quad)
        if text_width > MAX_TEXT_WIDTH:
            break
        quads.append(quad)
    return [(quad / (width, height)).astype(np.float32) for quad in _reading_order(quads)]


def cut_line(frame: Image, quad: Floats) -> Image:
    """Cuts out the line inside ``quad``, upright: uint8 [48, n, 3], n in 16..1280, aspect kept."""
    height, width = frame.shape[:2]
    corners = (quad * (width, height)).astype(np.float32)
    line_width = _line_width(corners)
    upright = np.array(((0, 0), (line_width, 0), (line_width, LINE_HEIGHT)), np.float32)
    # Three corners are enough: a rectangle stretched along the axes is a parallelogram.
    transform = cv2.getAffineTransform(corners[:3], upright)
    line = cv2.warpAffine(
        frame, transform, (line_width, LINE_HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(line, np.uint8)


def stack_lines(lines: Sequence[Image]) -> Image:
    """Makes one batch, uint8 [n, 48, width, 3], with padding on the right of shorter lines.

    Libraries for GPUs tune a network again for each new width. So there are few widths: multiples of 32 up to
    256, then four to each doubling.
    """
    longest = max(line.shape[1] for line in lines)
    step = max(_STRIDE, 1 << (longest - 1).bit_length() >> 3)
    width = -(-longest // step) * step
    batch = np.full((len(lines), LINE_HEIGHT, width, 3), _PADDING, np.uint8)
    for row, line in zip(batch, lines, strict=True):
        row[:, : line.shape[1]] = line
    return batch


def _rectangle(center: Sequence[float], side_a: float, side_b: float, angle: float) -> Floats:
    """Returns the corners of a rotated rectangle, clockwise."""
    return np.asarray(cv2.boxPoints((center, (side_a, side_b), angle)), np.float32)


def _mean_inside(text_map: Floats, corners: Floats) -> float:
    left, top, width, height = cv2.boundingRect(corners.astype(np.int32))
    left, top = max(left, 0), max(top, 0)
    window = text_map[top : top + height, left : left + width]
    mask = np.zeros(window.shape, np.uint8)
    cv2.fillConvexPoly(mask, (corners - (left, top)).astype(np.int32), 1)
    return float(cv2.mean(window, mask)[0])


def _from_top_left(corners: Floats) -> Floats:
    """Rotates the order of clockwise ``corners`` so that the text's own top left comes first.

    A line much taller than wide is taken for text turned clockwise, which reads downwards.
    """
    edges = np.roll(corners, -1, axis=0) - corners
    upright = np.roll(corners, -int(np.argmax(edges[:, 0])), axis=0)
    length, thickness = _sides(upright)
    return np.roll(upright, -1, axis=0) if thickness >= _VERTICAL_ASPECT * length else upright


def _line_width(corners: Floats) -> int:
    """Width in pixels of a line scaled to `LINE_HEIGHT`."""
    length, thickness = _sides(corners)
    return int(np.clip(LINE_HEIGHT * length / thickness, LINE_HEIGHT / 3, _MAX_LINE_WIDTH))


def _sides(corners: Floats) -> tuple[float, float]:
    along, down = corners[1] - corners[0], corners[3] - corners[0]
    return float(np.hypot(*along)), float(np.hypot(*down))


def _reading_order(quads: list[Floats]) -> list[Floats]:
    """Sorts quads into rows from the top, each row from the left.

    A row takes quads whose middle is less than half a line below that of its first quad.
    """
    rows: list[list[Floats]] = []
    for quad in sorted(quads, key=lambda quad: float(quad[:, 1].mean())):
        middle = float(quad[:, 1].mean())
        if rows and middle - float(rows[-1][0][:, 1].mean()) < float(np.ptp(rows[-1][0][:, 1])) / 2:
            rows[-1].append(quad)
        else:
            rows.append([quad])
    return [quad for row in rows for quad in sorted(row, key=lambda quad: float(quad[:, 0].min()))]
