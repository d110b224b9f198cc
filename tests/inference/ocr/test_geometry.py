from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.ocr.geometry import (
    LINE_HEIGHT,
    MAX_LINES,
    MAX_TEXT_WIDTH,
    cut_line,
    find_lines,
    resize_for_detector,
    stack_lines,
)
from inference.types import Floats, Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def text_map(*lines: tuple[int, int, int, int], probability: float = 0.9) -> Floats:
    """A 320×160 map with a core of text at each x, y, width, height."""
    heat = np.zeros((160, 320), np.float32)
    for x, y, width, height in lines:
        heat[y : y + height, x : x + width] = probability
    return heat


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (640, 480, (640, 480)),
        (1920, 1080, (640, 352)),
        (320, 240, (320, 256)),
        (480, 640, (480, 640)),
        (7, 5, (32, 32)),
        (4000, 20, (640, 32)),
    ],
)
def test_detector_gets_multiples_of_32_and_no_enlargement(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    small = resize_for_detector(np.zeros((height, width, 3), np.uint8))
    assert (small.shape[1], small.shape[0]) == expected


def test_a_line_grows_from_its_core_by_area_over_perimeter() -> None:
    (quad,) = find_lines(text_map((100, 60, 80, 20)), 320, 160)
    # 80 * 20 * 1.6 / 200 = 12.8 pixels on each side; a contour is a pixel smaller than its region.
    expected = np.array([(87.2, 47.2), (192.8, 47.2), (192.8, 92.8), (87.2, 92.8)])
    assert quad * (320, 160) == pytest.approx(expected, abs=0.8)


def test_quads_are_normalised_to_the_frame_whatever_its_size() -> None:
    heat = text_map((100, 60, 80, 20))
    (small,), (large,) = find_lines(heat, 320, 160), find_lines(heat, 1280, 720)
    assert small == pytest.approx(large, abs=1e-6)


def test_a_tall_line_starts_at_its_own_top_left() -> None:
    (quad,) = find_lines(text_map((100, 40, 16, 80)), 320, 160)
    top_right, bottom_right, bottom_left, top_left = quad
    assert top_right[0] > top_left[0]
    assert bottom_right[1] > top_right[1]
    assert bottom_left[0] == pytest.approx(top_left[0])


@pytest.mark.parametrize("degrees", [-40, -15, 0, 15, 40])
def test_a_slanted_line_reads_from_left_to_right_and_clockwise(degrees: int) -> None:
    heat = np.zeros((160, 320), np.float32)
    corners = cv2.boxPoints(((160, 80), (100, 16), degrees)).astype(np.int32)
    cv2.fillConvexPoly(heat, corners, 0.9)

    (quad,) = find_lines(heat, 320, 160)

    along = (quad[1] - quad[0]) * (320, 160)
    down = (quad[3] - quad[0]) * (320, 160)
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(degrees, abs=2)
    assert along[0] * down[1] - along[1] * down[0] > 0


def test_lines_come_in_reading_order() -> None:
    heat = text_map((200, 22, 80, 14), (20, 18, 80, 14), (20, 100, 200, 14), (120, 60, 40, 14))
    order = [
        tuple(np.round(quad.mean(axis=0) * (320, 160)).astype(int)) for quad in find_lines(heat, 320, 160)
    ]
    assert order == [(60, 25), (240, 29), (140, 67), (120, 107)]


@pytest.mark.parametrize(
    "heat",
    [
        text_map(),
        text_map((100, 60, 80, 20), probability=0.5),
        text_map((100, 60, 80, 2)),
    ],
    ids=["nothing", "faint", "a scratch"],
)
def test_what_is_no_text_is_left_out(heat: Floats) -> None:
    assert find_lines(heat, 320, 160) == []


def test_of_too_many_lines_the_largest_are_kept() -> None:
    specks = [(4 + 10 * column, 4 + 10 * row, 6, 6) for column in range(30) for row in range(10)]
    lines = find_lines(text_map((20, 120, 200, 20), *specks), 320, 160)
    assert len(lines) == MAX_LINES
    assert lines[-1].mean(axis=0) * (320, 160) == pytest.approx((120, 130), abs=1)


def test_of_a_page_of_long_lines_the_largest_are_kept() -> None:
    heat = np.zeros((640, 640), np.float32)
    for row in range(20):
        heat[20 + 30 * row : 26 + 30 * row, 20:620] = 0.9
    heat[625:637, 20:620] = 0.9
    lines = find_lines(heat, 1920, 1920)
    longest = 1280
    assert len(lines) == MAX_TEXT_WIDTH // longest
    assert lines[-1].mean(axis=0) * 640 == pytest.approx((320, 631), abs=1)


def test_a_core_at_the_edge_of_the_map_is_a_line() -> None:
    assert len(find_lines(text_map((0, 0, 60, 12), (260, 148, 60, 12)), 320, 160)) == 2


def test_a_slanted_line_that_leaves_the_map_is_a_line() -> None:
    heat = np.zeros((160, 320), np.float32)
    cv2.fillConvexPoly(heat, np.array([(0, 50), (50, 0), (30, 0), (0, 30)]), 0.9)
    assert len(find_lines(heat, 320, 160)) == 1


def quartered() -> Image:
    """White, with a 96×24 line at (40, 30) that is red, green / blue, black from its top left."""
    frame = np.full((120, 200, 3), 255, np.uint8)
    frame[30:42, 40:88], frame[30:42, 88:136] = RED, GREEN
    frame[42:54, 40:88], frame[42:54, 88:136] = BLUE, 0
    return frame


def quad_of(*corners: tuple[float, float]) -> Floats:
    return (np.array(corners) / (200, 120)).astype(np.float32)


def test_a_line_is_cut_to_48_rows_with_its_aspect() -> None:
    line = cut_line(quartered(), quad_of((40, 30), (136, 30), (136, 54), (40, 54)))
    assert line.shape == (LINE_HEIGHT, 192, 3)
    assert [tuple(line[y, x]) for y, x in ((12, 48), (12, 144), (36, 48))] == [RED, GREEN, BLUE]


def test_a_line_is_turned_upright_by_its_first_corner() -> None:
    turned = np.ascontiguousarray(np.rot90(quartered(), k=-1))  # clockwise: its top left is at the right
    corners = np.array([(90, 40), (90, 136), (66, 136), (66, 40)]) / (120, 200)
    line = cut_line(turned, corners.astype(np.float32))
    assert [tuple(line[y, x]) for y, x in ((12, 48), (12, 144), (36, 48))] == [RED, GREEN, BLUE]


def test_a_line_that_reaches_out_of_the_picture_repeats_its_edge() -> None:
    line = cut_line(quartered(), quad_of((-20, 80), (60, 80), (60, 130), (-20, 130)))
    assert tuple(line[-1, 0]) == WHITE


@pytest.mark.parametrize(("length", "width"), [(1, 16), (199, 1280)])
def test_the_width_of_a_line_is_bounded(length: int, width: int) -> None:
    line = cut_line(quartered(), quad_of((0, 0), (length, 0), (length, 6), (0, 6)))
    assert line.shape[1] == width


def test_the_widths_of_batches_are_few_and_little_of_them_is_padding() -> None:
    widths = {
        longest: stack_lines([np.zeros((LINE_HEIGHT, longest, 3), np.uint8)]).shape[2]
        for longest in range(16, 1281)
    }
    assert all(longest <= width < longest + max(32, longest / 4) for longest, width in widths.items())
    assert all(width % 32 == 0 for width in widths.values())
    assert len(set(widths.values())) == 17
    assert max(widths.values()) == 1280


def test_lines_are_stacked_with_grey_on_the_right() -> None:
    batch = stack_lines([np.full((LINE_HEIGHT, width, 3), 9, np.uint8) for width in (40, 65)])
    assert batch.shape == (2, LINE_HEIGHT, 96, 3)
    assert batch[0, 0, [39, 40, 95], 0].tolist() == [9, 127, 127]
