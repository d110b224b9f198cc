"""Top-down poses: the detector finds persons, and another model takes a crop around each.

Compared with a model of the whole frame this is more accurate, above all for small persons. The cost grows
with the number of persons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import Head, ModelInfo, Task
from inference.heads import detections
from inference.heads.candidates import UnknownHead, sound
from inference.heads.poses import KEYPOINTS, PERSON, FoundPersons
from inference.stages import TOP_DOWN
from inference.tracker import MAX_MISSED_S, Tracker
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats, Image

MAX_CROPS = 12
"""Crops of one frame at most. The bound limits the cost of a crowd."""
_LEAST_SCORE = 0.2
"""Least score of a detected person who is cropped."""
_MARGIN = 1.25
"""Side of a crop as a multiple of the box's longer side."""


def is_possible(models: Mapping[Task, ModelInfo]) -> bool:
    """Whether ``models`` has a model of crops, and a detector with the label ``person``."""
    return TOP_DOWN.task in models and Task.DETECT in models and PERSON in models[Task.DETECT].labels


@dataclass(frozen=True, slots=True)
class Crops:
    """Crops of n persons: ``images`` uint8 [n, side, side, 3] RGB.

    ``boxes`` float32 [n, 4] in canvas pixels and ``scores`` [n] come from the detector. ``origins`` [n, 2] is
    the place of each crop's pixel (0, 0), in canvas pixels. ``scales`` [n] is in crop pixels per canvas
    pixel.
    """

    images: NDArray[np.uint8]
    boxes: Floats
    scores: Floats
    origins: Floats
    scales: Floats

    def read(self, head: Head | None, threshold: float) -> FoundPersons:
        """Decodes the head of the model of crops.

        ``head`` is float32 [n, 17, 3]: x, y in 0..1 of the crop, score. It is ``None`` if there were no
        crops. A person's score is the geometric mean of the detector's score and of the keypoints' mean
        score. Persons below ``threshold`` are left out. Raises `UnknownHead`.
        """
        output = np.zeros((0, KEYPOINTS, 3), np.float32) if head is None else head[0]
        if output.shape != (len(self.boxes), KEYPOINTS, 3):
            raise UnknownHead(f"output {list(output.shape)} is no head of {len(self.boxes)} crops")
        keypoints = output.copy()
        keypoints[..., :2] *= self.images.shape[1] / self.scales[:, np.newaxis, np.newaxis]
        keypoints[..., :2] += self.origins[:, np.newaxis]
        keypoints[..., 2] = keypoints[..., 2].clip(0, 1)
        scores = np.sqrt(self.scores * keypoints[..., 2].mean(axis=1))
        kept = sound(self.boxes, keypoints.reshape(-1, KEYPOINTS * 3))
        kept = kept[scores[kept] >= threshold]
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        return FoundPersons(self.boxes[kept], scores[kept], np.zeros(len(kept), np.intp), keypoints[kept])


@dataclass(slots=True)
class _Person:
    """Media times in seconds. ``turn_since`` is infinite for a person who is not cropped."""

    came: float
    last_seen: float
    turn_since: float = math.inf


class TopDown:
    """Chooses the persons to crop, for one session.

    A person who is cropped stays chosen while detected, and for up to 1 s of missed frames. Free places go to
    the largest persons. Among persons of about one size the latest to appear come first, then the highest
    scores.
    """

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._persons: dict[int, _Person] = {}
        """Persons seen within the last second, by the tracker's id."""

    def cut(self, detected: Head, models: Mapping[Task, ModelInfo], canvas: Image, time_s: float) -> Crops:
        """Cuts crops of at most 12 persons, in the size of the model of crops.

        ``detected`` is the detector's head [1, ...]. ``time_s`` is media time; frames come in order. Raises
        `UnknownHead`.
        """
        detector, side = models[Task.DETECT], models[TOP_DOWN.task].crop_side
        assert side is not None, "a model of crops has it"
        found = detections.decode(tuple(output[0] for output in detected), detector, _LEAST_SCORE)
        persons = np.flatnonzero(found.classes == detector.labels.index(PERSON))
        chosen = persons[self._choose(found.boxes[persons], time_s)]
        boxes, scores = found.boxes[chosen], found.scores[chosen]
        sides = boxes[:, 2:].max(axis=1, initial=0) * _MARGIN
        origins = boxes[:, :2] + boxes[:, 2:] / 2 - sides[:, np.newaxis] / 2
        scales = side / np.maximum(sides, 1)
        images = np.empty((len(chosen), side, side, 3), np.uint8)
        for image, (left, top), scale in zip(images, origins.tolist(), scales.tolist(), strict=True):
            to_crop = np.array(((scale, 0, -left * scale), (0, scale, -top * scale)))
            image[:] = cv2.warpAffine(canvas, to_crop, (side, side), flags=cv2.INTER_LINEAR)
        return Crops(images, boxes, scores, origins.astype(np.float32), scales.astype(np.float32))

    def _choose(self, boxes: Floats, time_s: float) -> NDArray[np.intp]:
        """Indices of the persons to crop, in the order of ``boxes`` [n, 4] in canvas pixels."""
        self._persons = {
            number: person
            for number, person in self._persons.items()
            if 0 <= time_s - person.last_seen <= MAX_MISSED_S
        }
        normalised = np.asarray(boxes / ((FRAME_WIDTH, FRAME_HEIGHT) * 2), np.float32)
        [ids] = self._tracker.update(time_s, (normalised, [PERSON] * len(boxes)))
        tracked = [number for number in ids if number is not None]  # all, as none is weak
        persons = [self._persons.setdefault(number, _Person(time_s, time_s)) for number in tracked]
        # A substitute for a person missed for a moment has a later turn, and so loses it again.
        turns = np.array([person.turn_since for person in persons])
        doublings = np.log2(boxes[:, 2:].prod(axis=1)).round()
        came = np.array([person.came for person in persons])
        chosen = np.sort(np.lexsort((-came, -doublings, turns))[:MAX_CROPS])
        for index, person in enumerate(persons):
            person.last_seen = time_s
            person.turn_since = min(person.turn_since, time_s) if index in chosen else math.inf
        return chosen
