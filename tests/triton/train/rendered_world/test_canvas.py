from __future__ import annotations

import numpy as np
import pytest

from rendered_world.canvas import HEIGHT, WIDTH, Canvas

RED = (255, 0, 0)


def area_of(canvas: Canvas) -> float:
    """Red area in pixels of 640×480, edges counted by their share."""
    return float(canvas.pixels[:, :, 0].sum()) / 255 / canvas.scale**2


@pytest.mark.parametrize("width", [320, 640])
def test_shapes_have_the_same_size_and_place_however_large_the_picture(width: int) -> None:
    canvas = Canvas(width)
    canvas.rectangle(100, 60, 200, 120, RED)
    assert canvas.pixels.shape == (width * 3 // 4, width, 3)
    assert area_of(canvas) == pytest.approx(200 * 120, rel=0.05)
    rows, columns = np.nonzero(canvas.pixels[:, :, 0] > 127)
    assert [columns.min() / canvas.scale, rows.min() / canvas.scale] == pytest.approx([100, 60], abs=2)


def test_an_object_knows_its_extent() -> None:
    canvas = Canvas(WIDTH)
    with canvas.drawing_object() as (number, extent):
        canvas.ellipse((200, 150), (60, 20), RED, degrees=90)
        canvas.limb((300, 100), (300, 200), (5, 5), RED)
    assert number == 1
    assert extent.box() == pytest.approx((180, 90, 125, 120), abs=1.5)


def test_the_extent_ends_where_the_picture_ends() -> None:
    canvas = Canvas(WIDTH)
    with canvas.drawing_object() as (_, extent):
        canvas.circle((0, HEIGHT), 40, RED)
    assert extent.box() == pytest.approx((0, HEIGHT - 40, 40, 40), abs=0.5)


def test_each_pixel_belongs_to_what_was_drawn_last() -> None:
    canvas = Canvas(WIDTH)
    canvas.rectangle(0, 0, WIDTH, HEIGHT, RED)
    with canvas.drawing_object():
        canvas.rectangle(100, 100, 100, 100, RED)
    with canvas.drawing_object():
        canvas.rectangle(150, 100, 100, 100, RED)
    assert canvas.owners[150, [50, 120, 170]].tolist() == [0, 1, 2]


def test_a_patch_lands_where_it_is_pasted() -> None:
    canvas = Canvas(WIDTH)
    canvas.paste(np.full((200, 400, 3), RED, np.uint8), 40.5, 30, 100, 50)
    assert area_of(canvas) == pytest.approx(100 * 50, rel=0.05)
    assert canvas.pixels[55, [60, 120], 0].tolist() == [255, 255]
    assert canvas.pixels[55, [30, 150], 0].tolist() == [0, 0]
