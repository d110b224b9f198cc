"""How well tracks keep identities: CLEAR MOT (Bernardin & Stiefelhagen, 2008), IDF1 (Ristani et al., 2016).

A frame is two lists of an id with a box x, y, width, height: what is there, and what was tracked. The figures
are those of py-motmetrics, at an overlap of `MIN_IOU`; that package, 1.4.0, does not run with NumPy 2.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from inference.matching import iou
from inference.types import Box, Floats

MIN_IOU = 0.5

Sighting: TypeAlias = tuple[int, Box]


@dataclass(frozen=True, slots=True)
class Scores:
    """``things`` and ``tracked`` count boxes, ``same`` those under the one id that each thing is given for
    good (IDTP). ``switches``: how often a thing gets another id than before. ``fragments``: how often one is
    lost and found again."""

    things: int = 0
    tracked: int = 0
    same: int = 0
    switches: int = 0
    fragments: int = 0

    @property
    def idf1(self) -> float:
        """0..1."""
        return 2 * self.same / max(1, self.things + self.tracked)

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            self.things + other.things,
            self.tracked + other.tracked,
            self.same + other.same,
            self.switches + other.switches,
            self.fragments + other.fragments,
        )


def score(frames: Sequence[tuple[Sequence[Sighting], Sequence[Sighting]]]) -> Scores:
    """Of one clip."""
    together: Counter[tuple[int, int]] = Counter()
    last: dict[int, int] = {}
    seen: dict[int, list[bool]] = {}
    switches = 0
    for truth, found in frames:
        overlap = _overlap(truth, found)
        rows, columns = np.nonzero(overlap >= MIN_IOU)
        together.update((truth[row][0], found[column][0]) for row, column in zip(rows, columns, strict=True))
        matched = match(truth, found, last)
        switches += sum(last.get(thing, track) != track for thing, track in matched.items())
        last |= matched
        for thing, _ in truth:
            seen.setdefault(thing, []).append(thing in matched)
    fragments = sum(
        not before and now and any(history[:index])
        for history in seen.values()
        for index, (before, now) in enumerate(itertools.pairwise(history))
    )
    things, tracked = (sum(len(frame[side]) for frame in frames) for side in (0, 1))
    return Scores(things, tracked, _most_together(together), switches, fragments)


def _overlap(truth: Sequence[Sighting], found: Sequence[Sighting]) -> Floats:
    boxes = (np.array([box for _, box in side], np.float32).reshape(-1, 4) for side in (truth, found))
    return iou(*boxes)


def match(truth: Sequence[Sighting], found: Sequence[Sighting], last: dict[int, int]) -> dict[int, int]:
    """Which track each thing has in a frame: that of ``last``, where it still overlaps enough, else what
    makes the most pairs and these as close as may be."""
    overlap = _overlap(truth, found)
    column_of = {track: column for column, (track, _) in enumerate(found)}
    gain = np.where(overlap >= MIN_IOU, 1.0 + overlap, 0.0)
    matched = {}
    for row, (thing, _) in enumerate(truth):
        column = column_of.get(last.get(thing, -1))
        if column is not None and gain[row, column]:
            matched[thing] = last[thing]
            gain[row], gain[:, column] = 0.0, 0.0
    pairs = assign(np.where(gain > 0, gain + 10.0, 0.0))
    return matched | {truth[row][0]: found[column][0] for row, column in pairs if gain[row, column]}


def _most_together(together: Counter[tuple[int, int]]) -> int:
    things, tracks = (
        {name: number for number, name in enumerate(sorted({pair[side] for pair in together}))}
        for side in (0, 1)
    )
    counts = np.zeros((len(things), len(tracks)))
    for (thing, track), count in together.items():
        counts[things[thing], tracks[track]] = count
    return int(sum(counts[pair] for pair in assign(counts)))


def assign(gain: np.ndarray) -> list[tuple[int, int]]:
    """(row, column) pairs, each row and column once at most, whose ``gain`` is the highest in sum: Kuhn's
    Hungarian method with potentials, O(rows² · columns)."""
    if gain.shape[0] > gain.shape[1]:
        return [(row, column) for column, row in assign(gain.T)]
    rows, columns = gain.shape
    if not rows:
        return []
    cost = np.zeros((rows + 1, columns + 1))
    cost[1:, 1:] = -gain
    row_potential, column_potential = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, int)
    for row in range(1, rows + 1):
        row_of[0], column = row, 0
        least, way = np.full(columns + 1, np.inf), np.zeros(columns + 1, int)
        done = np.zeros(columns + 1, bool)
        while row_of[column]:
            done[column] = True
            current = cost[row_of[column]] - row_potential[row_of[column]] - column_potential
            better = ~done & (current < least)
            better[0] = False
            least[better], way[better] = current[better], column
            following = int(np.where(done, np.inf, least).argmin())
            step = least[following]
            row_potential[row_of[done]] += step
            column_potential[done] -= step
            least[~done] -= step
            column = following
        while column:
            row_of[column] = row_of[way[column]]
            column = way[column]
    return [(int(row_of[column]) - 1, column - 1) for column in range(1, columns + 1) if row_of[column]]
