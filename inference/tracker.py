"""Tracks objects: each gets an id that is stable while it is seen, and a velocity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.appearance import Appearance, looks_of
from inference.constant_velocity import ConstantVelocity
from inference.flow import FlowField
from inference.matching import best_pairs, iou, keypoint_fit
from inference.types import Floats, Image, Point

MAX_MISSED_S = 1.0
MAX_TRACKS = 256

_MIN_FIT = 0.2
"""Least fit of the findings of two stages that are taken for one object."""

# Terms of the worth of a match: log-likelihood ratios against the finding being a new object.
_SURE = 0.01
"""Variance of the position of a track that is seen all the time, in sizes²."""
_WORTH = 8.0
"""Worth of a perfect match with such a track."""
_OVERLAP_WORTH = 3.0
_OTHER_LABEL = 3.0
"""Penalty of another label. Detectors sometimes confuse labels, such as cars and buses."""
_WIDTH_CHANGES = 0.4
"""Standard deviation of the change of log width between findings. Walking changes a person's width."""
_HEIGHT_CHANGES = 0.15
_SIZE_CHANGES = np.array((0.5 / _WIDTH_CHANGES**2, 0.5 / _HEIGHT_CHANGES**2), np.float32)
_SIZE_GAIN = 0.5
_LOOK_GAIN = 0.2
_LEARNS_EVERY_S = 0.095
_STANDS_FREE = 0.25
"""Largest `iou` with other tracks at which the colours in a box count as those of one object."""
_LEAST_SIDE = 1e-3


class Sighted(NamedTuple):
    """The n objects that one stage found in a frame.

    ``boxes`` is float32 [n, 4]: x, y, width, height. ``keypoints`` is float32 [n, k, 3]: x, y, score. Both
    are normalised to the frame. ``weak``, bool [n], marks objects with too low a score to begin a track.
    """

    boxes: Floats
    labels: Sequence[str]
    keypoints: Floats | None = None
    weak: NDArray[np.bool_] | None = None


@dataclass(slots=True)
class _Track:
    id: int
    label: str
    width: float
    height: float
    motion: ConstantVelocity
    seen_at: float
    look: Floats | None
    times: int = 1
    learnt_at: float = -math.inf

    def is_inside(self, time_s: float) -> bool:
        """Whether the object is seen now, or its predicted centre is in the picture."""
        x, y = self.motion.ahead(time_s - self.seen_at)
        return self.seen_at == time_s or (0 <= x <= 1 and 0 <= y <= 1)

    def expected(self, time_s: float) -> tuple[float, ...]:
        """Predicts the box: x, y, width, height, and the variance of its centre in sizes²."""
        seconds = time_s - self.seen_at
        x, y = self.motion.ahead(seconds)
        box = x - self.width / 2, y - self.height / 2, self.width, self.height
        return *box, self.motion.variance(seconds)

    def see(self, box: Sequence[float], label: str, time_s: float) -> None:
        """Updates the track with its next box: x, y, width, height."""
        x, y, width, height = box
        self.motion.see(x + width / 2, y + height / 2, time_s - self.seen_at)
        self.width += _SIZE_GAIN * (max(width, _LEAST_SIDE) - self.width)
        self.height += _SIZE_GAIN * (max(height, _LEAST_SIDE) - self.height)
        self.label, self.seen_at, self.times = label, time_s, self.times + 1

    @property
    def velocity(self) -> Point | None:
        """As `Tracker.velocity`."""
        return None if self.times < 2 else (self.motion.vx, self.motion.vy)


class Tracker:
    """Matches the objects in a frame with the predicted boxes of tracks.

    The worth of a match is a sum of log-likelihoods of position, size, label and colours. `best_pairs` makes
    the assignment. All stages of a session share one tracker, so an object has one id in all of them.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._appearance = Appearance()

    def update(
        self,
        time_s: float,
        *stages: Sighted | tuple[Floats, Sequence[str]],
        picture: Image | None = None,
        flow: FlowField | None = None,
    ) -> list[list[int | None]]:
        """Returns ids for the objects of each stage, unique within a stage.

        The id is ``None`` for a weak object that continues no track. An object that overlaps an object of an
        earlier stage with the same label takes its id. ``time_s`` is media time. A track ends if it is not
        seen for more than 1 s; all tracks end if time goes back. ``picture``, RGB of any size, is the frame,
        and enables comparing colours. ``flow`` makes velocities more precise.
        """
        self._tracks = [track for track in self._tracks if 0 <= time_s - track.seen_at <= MAX_MISSED_S]
        things, rows_of_stages = _things([Sighted(*stage) for stage in stages])
        looks = None if picture is None else looks_of(picture, things.boxes)
        ids = self._identify(time_s, things, looks)
        if flow is not None:
            self._refine(time_s, flow)
        return [[ids[row] for row in rows] for rows in rows_of_stages]

    def velocity(self, track_id: int) -> Point | None:
        """Velocity of a track in frame widths and heights a second, x to the right and y down.

        ``None`` when the object was found once only, and for a track that has ended.
        """
        return next((track.velocity for track in self._tracks if track.id == track_id), None)

    def _identify(self, time_s: float, things: Sighted, looks: Floats | None) -> list[int | None]:
        expected = [track.expected(time_s) for track in self._tracks]
        known = np.array(expected, np.float32).reshape(-1, 5)
        overlap = iou(things.boxes, known[:, :4])
        pairs = _matched(self._worth(things, looks, known, overlap), things.weak)
        track_of = {row: self._tracks[column] for row, column in pairs}
        if looks is not None:
            self._appearance.learn(pairs)
            alone = np.count_nonzero(overlap > _STANDS_FREE, axis=1) <= 1
            _learn_looks(track_of, looks, alone, time_s)
        ids: list[int | None] = []
        for row, (box, label) in enumerate(zip(things.boxes.tolist(), things.labels, strict=True)):
            if row in track_of:
                track_of[row].see(box, label, time_s)
                ids.append(track_of[row].id)
            elif things.weak is not None and things.weak[row]:
                ids.append(None)
            else:
                ids.append(self._begin(box, label, time_s, None if looks is None else looks[row]))
        there = [track for track in self._tracks if track.is_inside(time_s)]
        self._tracks = sorted(there, key=lambda track: track.seen_at)[-MAX_TRACKS:]
        return ids

    def _worth(self, things: Sighted, looks: Floats | None, known: Floats, overlap: Floats) -> Floats:
        """Returns the worth of each match, float32 [objects, tracks]; 0 if a new object is likelier.

        ``known`` [tracks, 5] is `_Track.expected` of each. ``overlap`` is the `iou` with these boxes.
        """
        if not overlap.size:
            return overlap
        boxes, variance = np.maximum(things.boxes, _LEAST_SIDE), known[:, 4]
        size, known_size = boxes[:, 2:], known[:, 2:4]
        # Each term lowers the worth of a perfect match by a deviation from it.
        off = (boxes[:, :2] + size / 2)[:, np.newaxis] - (known[:, :2] + known_size / 2)
        worth = np.square(off).sum(axis=2) * (-0.5 / (known_size.prod(axis=1) * variance))
        worth += _WORTH - np.log(variance / _SURE) + _OVERLAP_WORTH * overlap
        changes = np.log(size)[:, np.newaxis] - np.log(known_size)
        worth -= np.square(changes) @ _SIZE_CHANGES
        worth -= _OTHER_LABEL * _differ(things.labels, [track.label for track in self._tracks])
        known_looks = [track.look for track in self._tracks if track.look is not None]
        if looks is not None and len(known_looks) == len(known):
            worth += self._appearance.worth(looks, np.array(known_looks))
        return np.asarray(np.maximum(worth, 0.0), np.float32)

    def _begin(self, box: Sequence[float], label: str, time_s: float, look: Floats | None) -> int:
        x, y, width, height = box
        motion = ConstantVelocity(x + width / 2, y + height / 2)
        sides = max(width, _LEAST_SIDE), max(height, _LEAST_SIDE)
        self._tracks.append(_Track(self._next_id, label, *sides, motion, time_s, look))
        self._next_id += 1
        return self._next_id - 1

    def _refine(self, time_s: float, flow: FlowField) -> None:
        for track in self._tracks:
            velocity = track.velocity
            if track.seen_at == time_s and velocity is not None and flow.follows(velocity):
                x, y, width, height, _ = track.expected(time_s)
                measured = flow.velocity_in((x + width / 4, y + height / 4, width / 2, height / 2))
                track.motion.refine(*measured, math.sqrt(width * height))


def _things(stages: Sequence[Sighted]) -> tuple[Sighted, list[list[int]]]:
    """Merges the objects of all stages, each object once, and returns the rows of each stage."""
    boxes, labels = np.empty((0, 4), np.float32), list[str]()
    weak = np.empty(0, np.bool_)
    rows_of_stages = []
    for stage in stages:
        row_of = dict(best_pairs(_belonging(stage, boxes, labels))) if labels and stage.labels else {}
        lone = [index for index in range(len(stage.boxes)) if index not in row_of]
        row_of |= {index: len(labels) + number for number, index in enumerate(lone)}
        boxes = np.concatenate((boxes, stage.boxes[lone]))
        labels += [stage.labels[index] for index in lone]
        rows = [row_of[index] for index in range(len(stage.boxes))]
        too_weak = np.zeros(len(rows), np.bool_) if stage.weak is None else stage.weak
        weak = np.concatenate((weak, too_weak[lone]))
        weak[rows] &= too_weak
        rows_of_stages.append(rows)
    return Sighted(boxes, labels, weak=weak), rows_of_stages


def _learn_looks(
    track_of: Mapping[int, _Track], looks: Floats, alone: NDArray[np.bool_], time_s: float
) -> None:
    """Updates the colour descriptors of tracks, each every 95 ms at most.

    ``alone``, bool for each row of ``looks``, is true if the box shows one object only.
    """
    for row, track in track_of.items():
        if track.look is None:
            track.look = looks[row]
    due = {
        row: track
        for row, track in track_of.items()
        if alone[row] and time_s - track.learnt_at >= _LEARNS_EVERY_S
    }
    if not due:
        return
    known = np.array([track.look for track in due.values()])
    for track, look in zip(due.values(), known + _LOOK_GAIN * (looks[list(due)] - known), strict=True):
        track.look, track.learnt_at = look, time_s


def _differ(labels: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each of ``labels`` differs from each of ``others``: bool [n, m]."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys((*labels, *others)))}
    rows, columns = ([numbers[label] for label in side] for side in (labels, others))
    return np.asarray(np.array(rows)[:, np.newaxis] != np.array(columns), np.bool_)


def _matched(worth: Floats, weak: NDArray[np.bool_] | None) -> list[tuple[int, int]]:
    """Returns (object, track) pairs. Weak objects are matched last, with the tracks that are left."""
    if weak is None or not weak.any():
        return best_pairs(worth)
    strong = best_pairs(np.where(weak[:, np.newaxis], 0.0, worth).astype(np.float32))
    left = worth.copy()
    left[~weak] = 0.0
    left[:, [column for _, column in strong]] = 0.0
    return strong + best_pairs(left)


def _belonging(stage: Sighted, boxes: Floats, labels: Sequence[str]) -> Floats:
    """Returns how well each object of the stage fits each of the others, float32 [n, m].

    It is the `iou`, times the `keypoint_fit` for poses. It is 0 below `_MIN_FIT` and for different labels.
    """
    fit = iou(stage.boxes, boxes)
    if stage.keypoints is not None:
        fit *= keypoint_fit(stage.keypoints, boxes)
    return np.where(_differ(stage.labels, labels) | (fit < _MIN_FIT), 0.0, fit).astype(np.float32)
