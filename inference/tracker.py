"""Gives each object and each person's skeleton an id that stays while it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from inference.types import Floats

MAX_MISSED_S = 1.0
MAX_TRACKS = 256
PERSON = "person"
"""The detector label that a pose belongs to."""

_MIN_IOU = 0.2
_VELOCITY_GAIN = 0.3
"""With the prediction, 10 s of walkers (6.4 a frame) at 5 fps get 18 ids instead of 31."""


@dataclass(slots=True)
class _Track:
    id: int
    label: str
    box: Floats
    seen_at: float
    velocity: Floats = field(default_factory=lambda: np.zeros(2, np.float32))

    def box_at(self, time_s: float) -> Floats:
        """Where the box would be, had it gone on as before."""
        return np.concatenate((self.box[:2] + self.velocity * (time_s - self.seen_at), self.box[2:]))

    def see(self, box: Floats, time_s: float) -> None:
        """Takes in the next box; the velocity of the centre follows slowly, as single boxes jitter."""
        shift = box[:2] + box[2:] / 2 - self.box[:2] - self.box[2:] / 2
        if time_s > self.seen_at:
            self.velocity += _VELOCITY_GAIN * (shift / (time_s - self.seen_at) - self.velocity)
        self.box, self.seen_at = box, time_s


class Tracker:
    """Matches boxes of one label with where the tracks should be by now: by overlap, the best pairs first.

    One tracker serves detections and poses, so that a person has one id in both lists.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 1

    def update(
        self, time_s: float, boxes: Floats, labels: Sequence[str], pose_boxes: Floats
    ) -> tuple[list[int], list[int]]:
        """Ids of the detections and of the poses of one frame, each unique in its list.

        ``boxes`` and ``pose_boxes`` are float32 [n, 4] and [m, 4]: x, y, width, height, normalised.
        ``labels`` are the n names; ``time_s`` is media time. A pose takes the id of the person that it
        overlaps; one without such a detection is tracked as a person of its own. Tracks that were not
        seen for more than 1 s end; all end when time goes back.
        """
        self._tracks = [track for track in self._tracks if 0 <= time_s - track.seen_at <= MAX_MISSED_S]
        is_person = np.array([label == PERSON for label in labels], np.bool_)
        person_of = dict(_best_pairs(np.where(is_person, iou(pose_boxes, boxes), 0.0)))
        lone = [pose for pose in range(len(pose_boxes)) if pose not in person_of]
        ids = self._identify(
            time_s, np.concatenate((boxes, pose_boxes[lone])), [*labels, *(PERSON for _ in lone)]
        )
        row_of = person_of | {pose: len(boxes) + row for row, pose in enumerate(lone)}
        return ids[: len(boxes)], [ids[row_of[pose]] for pose in range(len(pose_boxes))]

    def _identify(self, time_s: float, boxes: Floats, labels: Sequence[str]) -> list[int]:
        known = np.array([track.box_at(time_s) for track in self._tracks], np.float32).reshape(-1, 4)
        same_label = [[label == track.label for track in self._tracks] for label in labels]
        overlap = np.where(
            np.array(same_label, np.bool_).reshape(len(boxes), len(known)), iou(boxes, known), 0.0
        )
        track_of = dict(_best_pairs(overlap))
        seen = []
        for row, (box, label) in enumerate(zip(boxes, labels, strict=True)):
            if row in track_of:
                track = self._tracks[track_of[row]]
                track.see(box, time_s)
            else:
                track = _Track(self._next_id, label, box, time_s)
                self._next_id += 1
                self._tracks.append(track)
            seen.append(track.id)
        self._tracks = sorted(self._tracks, key=lambda track: track.seen_at)[-MAX_TRACKS:]
        return seen


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of each of ``a`` [n, 4] with each of ``b`` [m, 4], as float32 [n, m].

    Boxes are x, y, width, height.
    """
    top_left = np.maximum(a[:, np.newaxis, :2], b[:, :2])
    bottom_right = np.minimum(a[:, np.newaxis, :2] + a[:, np.newaxis, 2:], b[:, :2] + b[:, 2:])
    shared = np.prod(np.clip(bottom_right - top_left, 0.0, None), axis=2)
    union = np.prod(a[:, np.newaxis, 2:], axis=2) + np.prod(b[:, 2:], axis=1) - shared
    return np.asarray(shared / np.maximum(union, np.finfo(np.float32).tiny), np.float32)


def _best_pairs(overlap: Floats) -> list[tuple[int, int]]:
    """(row, column) pairs that overlap enough, each row and column at most once, the best first."""
    left = overlap.copy()
    pairs = []
    while left.size and left.max() >= _MIN_IOU:
        row, column = divmod(int(left.argmax()), left.shape[1])
        pairs.append((row, column))
        left[row], left[:, column] = 0.0, 0.0
    return pairs
