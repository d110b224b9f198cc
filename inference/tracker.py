"""Gives each thing that was found an id that stays while it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from inference.types import Floats

MAX_MISSED_S = 1.0
MAX_TRACKS = 256

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

    One tracker serves all stages, so that a thing has one id in the results of each that finds it.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 1

    def update(self, time_s: float, *stages: tuple[Floats, Sequence[str]]) -> list[list[int]]:
        """Ids of what each stage found in one frame, each unique in its list.

        ``stages`` are boxes, float32 [n, 4] x, y, width, height, normalised, with their n labels; ``time_s``
        is media time. What overlaps a thing of the same label that a stage before it found has its id; what
        does not is tracked on its own. Tracks that were not seen for more than 1 s end; all end when time
        goes back.
        """
        self._tracks = [track for track in self._tracks if 0 <= time_s - track.seen_at <= MAX_MISSED_S]
        things, names = np.empty((0, 4), np.float32), list[str]()
        rows_of_stages = []
        for boxes, labels in stages:
            row_of = dict(_best_pairs(_overlap(boxes, labels, things, names)))
            lone = [index for index in range(len(boxes)) if index not in row_of]
            row_of |= {index: len(things) + number for number, index in enumerate(lone)}
            things = np.concatenate((things, boxes[lone]))
            names += [labels[index] for index in lone]
            rows_of_stages.append([row_of[index] for index in range(len(boxes))])
        ids = self._identify(time_s, things, names)
        return [[ids[row] for row in rows] for rows in rows_of_stages]

    def _identify(self, time_s: float, boxes: Floats, labels: Sequence[str]) -> list[int]:
        known = np.array([track.box_at(time_s) for track in self._tracks], np.float32).reshape(-1, 4)
        track_of = dict(_best_pairs(_overlap(boxes, labels, known, [track.label for track in self._tracks])))
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


def _overlap(boxes: Floats, labels: Sequence[str], others: Floats, other_labels: Sequence[str]) -> Floats:
    """`iou` of each box with each of the others, 0 where their labels differ."""
    same = [[label == other for other in other_labels] for label in labels]
    return iou(boxes, others) * np.array(same, np.bool_).reshape(len(boxes), len(others))


def _best_pairs(overlap: Floats) -> list[tuple[int, int]]:
    """(row, column) pairs that overlap enough, each row and column at most once, the best first."""
    left = overlap.copy()
    pairs = []
    while left.size and left.max() >= _MIN_IOU:
        row, column = divmod(int(left.argmax()), left.shape[1])
        pairs.append((row, column))
        left[row], left[:, column] = 0.0, 0.0
    return pairs
