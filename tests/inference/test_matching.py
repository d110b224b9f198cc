from __future__ import annotations

import numpy as np
import pytest

from inference.matching import best_pairs, iou, keypoint_fit
from inference.types import Floats


def array(*rows: tuple[float, ...]) -> Floats:
    return np.array(rows, np.float32)


def test_iou_of_equal_overlapping_apart_and_empty_boxes() -> None:
    square = array((0.0, 0.0, 0.2, 0.2))
    others = array((0.0, 0.0, 0.2, 0.2), (0.1, 0.0, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2), (0.1, 0.1, 0.0, 0.0))
    assert iou(square, others)[0] == pytest.approx([1.0, 1 / 3, 0.0, 0.0])


def test_the_best_pairs_come_first_and_none_without_worth() -> None:
    assert best_pairs(array((0.5, 0.9), (0.0, 0.4))) == [(0, 1)]
    assert best_pairs(array((0.5, 0.0), (0.6, 0.0), (0.0, 0.2))) == [(1, 0), (2, 1)]


def test_two_pairs_exchange_where_that_is_worth_more_together() -> None:
    assert sorted(best_pairs(array((1.0, 0.9), (0.9, 0.1)))) == [(0, 1), (1, 0)]
    assert sorted(best_pairs(array((1.0, 0.3), (0.3, 0.1)))) == [(0, 0), (1, 1)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_has_no_pairs(shape: tuple[int, int]) -> None:
    assert best_pairs(np.zeros(shape, np.float32)) == []


def upright(x: float, score: float = 0.9) -> Floats:
    """Keypoints of who stands with the middle at ``x``, from 0.2 down to 0.8."""
    return array(*((x + side * 0.05, y, score) for y in (0.2, 0.4, 0.6, 0.8) for side in (-1, 1)))


def test_keypoints_fit_the_box_that_is_around_them() -> None:
    boxes = array((0.3, 0.15, 0.2, 0.7), (0.38, 0.15, 0.2, 0.7), (0.7, 0.15, 0.2, 0.7))
    here, beside, away = keypoint_fit(upright(0.4)[np.newaxis], boxes)[0].tolist()
    assert here == pytest.approx(1.0)
    assert beside < 0.5
    assert away == 0.0


def test_where_no_keypoint_is_sure_they_say_nothing() -> None:
    boxes = array((0.3, 0.15, 0.2, 0.7), (0.7, 0.15, 0.0, 0.0))
    assert keypoint_fit(upright(0.4, score=0.1)[np.newaxis], boxes).tolist() == [[1.0, 1.0]]
