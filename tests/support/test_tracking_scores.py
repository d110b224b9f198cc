from __future__ import annotations

import numpy as np
import pytest

from tests.support.tracking_scores import Scores, Sighting, assign, score

HERE, THERE = (0.1, 0.1, 0.2, 0.2), (0.6, 0.6, 0.2, 0.2)


def frame(*tracks: tuple[int, int]) -> tuple[list[Sighting], list[Sighting]]:
    """Things 1 and 2 in their places, and the tracks that are at each of them; 0 for none."""
    found = [(track, box) for track, box in zip(tracks[0], (HERE, THERE), strict=True) if track]
    return [(1, HERE), (2, THERE)], found


def test_tracks_that_stay_are_perfect() -> None:
    assert score([frame((7, 8))] * 10) == Scores(things=20, tracked=20, same=20)


def test_two_tracks_that_change_places_are_two_switches_and_half_the_identity() -> None:
    scores = score([frame((7, 8))] * 5 + [frame((8, 7))] * 5)
    assert (scores.switches, scores.idf1) == (2, 0.5)


def test_a_thing_that_is_lost_for_a_while_is_a_fragment_and_no_switch_under_its_id() -> None:
    scores = score([frame((7, 8)), frame((7, 0)), frame((7, 8))])
    assert (scores.switches, scores.fragments, scores.same) == (0, 1, 5)


def test_what_is_found_where_nothing_is_lowers_the_score_alone() -> None:
    truth, found = frame((7, 8))
    scores = score([(truth, [*found, (9, (0.4, 0.4, 0.1, 0.1))])])
    assert (scores.switches, scores.same, scores.idf1) == (0, 2, pytest.approx(4 / 5))


def test_the_assignment_is_the_best_of_all() -> None:
    random = np.random.default_rng(4)
    for shape in ((4, 4), (3, 5), (5, 3)):
        gain = random.random(shape)
        pairs = assign(gain)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == 3 + (shape == (4, 4))
        best = max(_sums(gain))
        assert sum(gain[pair] for pair in pairs) == pytest.approx(best)


def _sums(gain: np.ndarray) -> list[float]:
    """Of every assignment."""
    if gain.shape[0] > gain.shape[1]:
        return _sums(gain.T)
    if not len(gain):
        return [0.0]
    return [
        gain[0, column] + rest
        for column in range(gain.shape[1])
        for rest in _sums(np.delete(gain[1:], column, axis=1))
    ]
