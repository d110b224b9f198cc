from __future__ import annotations

import numpy as np

from inference.heads.candidates import suppress


def keep(
    boxes: list[tuple[float, float, float, float]], scores: list[float], classes: list[int] | None = None
) -> list[int]:
    kept: list[int] = suppress(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(classes or [0] * len(boxes), np.intp),
    ).tolist()
    return kept


def test_the_best_of_overlapping_boxes_stays() -> None:
    assert keep([(0, 0, 10, 10), (1, 0, 10, 10), (2, 0, 10, 10)], [0.6, 0.9, 0.7]) == [1]


def test_of_equals_the_first_stays() -> None:
    assert keep([(0, 0, 10, 10), (1, 0, 10, 10), (50, 0, 10, 10)], [0.8, 0.8, 0.8]) == [0, 2]


def test_boxes_apart_stay_best_first() -> None:
    assert keep([(0, 0, 10, 10), (50, 0, 10, 10), (0, 50, 10, 10)], [0.5, 0.9, 0.7]) == [1, 2, 0]


def test_a_score_of_zero_is_one_too() -> None:
    assert keep([(0, 0, 10, 10)], [0.0]) == [0]


def test_classes_do_not_compete() -> None:
    assert keep([(0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10)], [0.9, 0.8, 0.7], [0, 1, 0]) == [0, 1]


def test_classes_do_not_compete_outside_of_the_picture_either() -> None:
    # As far apart as the greatest coordinate, by which OpenCV moves one class away from the other.
    assert keep([(91, 91, 9, 9), (-10, -10, 9, 9)], [0.9, 0.8], [0, 1]) == [0, 1]


def test_an_overlap_of_exactly_the_limit_stays() -> None:
    # 10 × 10 and its left half: intersection over union is 50 / 100.
    assert keep([(0, 0, 10, 10), (0, 0, 5, 10)], [0.9, 0.8]) == [0, 1]


def test_a_box_that_was_removed_removes_no_other() -> None:
    # The second overlaps the first and the third; the first and the third do not overlap enough.
    assert keep([(0, 0, 10, 10), (3, 0, 10, 10), (6, 0, 10, 10)], [0.9, 0.8, 0.7]) == [0, 2]


def test_stops_at_the_most_that_are_wanted() -> None:
    boxes = [(20.0 * number, 0.0, 10.0, 10.0) for number in range(120)]
    assert keep(boxes, [0.005 * number for number in range(120)]) == list(range(119, 19, -1))


def test_nothing_in_nothing_out() -> None:
    assert keep([], []) == []
