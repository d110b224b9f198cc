from __future__ import annotations

import numpy as np
import pytest

from inference.letterbox import Letterbox
from inference.types import FRAME_HEIGHT, FRAME_WIDTH


@pytest.mark.parametrize(
    ("source", "placed"),
    [
        ((640, 480), Letterbox(left=0, top=0, width=320, height=240)),
        ((320, 240), Letterbox(left=0, top=0, width=320, height=240)),
        ((160, 120), Letterbox(left=0, top=0, width=320, height=240)),
        ((1280, 720), Letterbox(left=0, top=30, width=320, height=180)),
        ((480, 640), Letterbox(left=70, top=0, width=180, height=240)),
        ((100, 100), Letterbox(left=40, top=0, width=240, height=240)),
    ],
)
def test_a_frame_sits_centred_and_as_large_as_fits(source: tuple[int, int], placed: Letterbox) -> None:
    assert Letterbox.fit(*source) == placed


@pytest.mark.parametrize("width", [1, 17, 333, 640, 1919, 8000])
@pytest.mark.parametrize("height", [1, 15, 241, 480, 1081, 8000])
def test_any_size_stays_inside_the_canvas_with_even_sides(width: int, height: int) -> None:
    box = Letterbox.fit(width, height)

    assert box.width % 2 == box.height % 2 == 0
    assert box.width >= 2
    assert box.height >= 2
    assert 0 <= box.left <= FRAME_WIDTH - box.width
    assert 0 <= box.top <= FRAME_HEIGHT - box.height
    assert box.width == FRAME_WIDTH or box.height == FRAME_HEIGHT


def test_points_come_back_normalised_and_keep_what_follows_x_and_y() -> None:
    wide = Letterbox.fit(1280, 720)  # 30 rows of padding above and below

    points = wide.points_to_frame(np.array([[[0, 30, 0.9], [320, 210, 0.1], [160, 120, 0.5]]], np.float32))

    assert points == pytest.approx(np.array([[[0, 0, 0.9], [1, 1, 0.1], [0.5, 0.5, 0.5]]]))


def test_a_point_in_the_padding_lies_outside_the_frame() -> None:
    point = Letterbox.fit(1280, 720).points_to_frame(np.array([[160, 12]], np.float32))
    assert point == pytest.approx(np.array([[0.5, -0.1]]))


def test_boxes_are_cut_at_the_edges_of_the_frame() -> None:
    boxes = np.array([[80, 75, 160, 90], [-16, 12, 64, 36], [300, 200, 60, 60]], np.float32)

    normalised = Letterbox.fit(1280, 720).boxes_to_frame(boxes)

    assert normalised == pytest.approx(
        np.array([[0.25, 0.25, 0.5, 0.5], [0, 0, 0.15, 0.1], [0.9375, 17 / 18, 0.0625, 1 / 18]]), abs=1e-6
    )


def test_no_boxes_give_no_boxes() -> None:
    assert Letterbox.fit(640, 480).boxes_to_frame(np.empty((0, 4), np.float32)).shape == (0, 4)
