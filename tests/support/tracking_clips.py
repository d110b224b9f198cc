"""Clips of the rendered world whose things have identities, and what a detector makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inference.types import Box, Floats, Image
from rendered_world.canvas import HEIGHT, WIDTH
from rendered_world.crowd import FPS, Crowd, Family

RATES = (30, 15, 10, 5)
"""Results a second."""
PICTURE_WIDTH = 320

_EDGE_ERROR = 0.05
"""Of the edge of a box, standard deviation, in sides of the box."""
_LASTS = 0.8
"""How much of an error is there in the next frame, 1/30 s later."""
_MISSED, _MISSED_BEHIND = 0.08, 0.55
"""Share of what stands free, and of what is half behind something else, that is not found."""
_CHANGES = 0.25
"""How often in a frame it is drawn anew whether a thing is found."""
_FALSE = 0.1
"""Boxes a frame around nothing."""
_MISTAKEN = {"dog": "bird", "bird": "dog", "car": "bus", "bus": "car"}
_MISTAKES = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is in a frame, from the back to the front, boxes normalised to the frame."""

    time_s: float
    identities: tuple[int, ...]
    labels: tuple[str, ...]
    boxes: tuple[Box, ...]


def clip(family: Family, seed: int, seconds: float, every: int = 1) -> Iterator[tuple[Image, Seen]]:
    """Each ``every``-th frame of 30 a second, 320×240, with what is in it."""
    crowd = Crowd(family, seed)
    for number in range(0, round(seconds * FPS), every):
        picture, truths = crowd.frame(number, PICTURE_WIDTH)
        boxes = tuple(
            (x / WIDTH, y / HEIGHT, width / WIDTH, height / HEIGHT)
            for x, y, width, height in (truth.box for truth in truths)
        )
        identities = tuple(truth.identity for truth in truths)
        yield picture, Seen(number / FPS, identities, tuple(truth.label for truth in truths), boxes)


def detected(frames: Sequence[Seen], seed: int) -> list[tuple[Floats, list[str]]]:
    """What a detector might find in them, by chance as ``seed`` has it, with the errors that the built-in one
    makes on such clips: edges that are off for some frames, things behind others that are missed, boxes
    around nothing, dogs taken for birds."""
    random = np.random.default_rng(seed)
    errors: dict[int, Floats] = {}
    missed: dict[int, bool] = {}
    found = []
    for seen in frames:
        boxes, labels = [], []
        for place, (identity, label, box) in enumerate(
            zip(seen.identities, seen.labels, seen.boxes, strict=True)
        ):
            fresh = random.normal(0, _EDGE_ERROR, 4)
            error = errors.get(identity, fresh)
            errors[identity] = _LASTS * error + np.sqrt(1 - _LASTS**2) * fresh
            behind = max((_covered(box, other) for other in seen.boxes[place + 1 :]), default=0.0)
            share = _MISSED + (_MISSED_BEHIND - _MISSED) * min(1.0, 2 * behind)
            if identity not in missed or random.random() < _CHANGES:
                missed[identity] = bool(random.random() < share)
            if not missed[identity]:
                boxes.append(_with_edges_off(box, errors[identity]))
                labels.append(_MISTAKEN.get(label, label) if random.random() < _MISTAKES else label)
        if random.random() < _FALSE:
            x, y = random.uniform(0.0, 0.85, 2)
            boxes.append((x, y, 0.1, 0.15))
            labels.append("person")
        found.append((np.array(boxes, np.float32).reshape(-1, 4), labels))
    return found


def _with_edges_off(box: Box, error: Floats) -> tuple[float, ...]:
    x, y, width, height = box
    left, top = x + error[0] * width, y + error[1] * height
    right, bottom = x + width + error[2] * width, y + height + error[3] * height
    return left, top, max(0.01, right - left), max(0.01, bottom - top)


def _covered(box: Box, by: Box) -> float:
    """Share of ``box`` that ``by`` covers."""
    width = min(box[0] + box[2], by[0] + by[2]) - max(box[0], by[0])
    height = min(box[1] + box[3], by[1] + by[3]) - max(box[1], by[1])
    return max(0.0, width) * max(0.0, height) / (box[2] * box[3])
