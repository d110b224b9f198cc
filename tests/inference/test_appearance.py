from __future__ import annotations

import numpy as np
import pytest

from inference.appearance import Appearance, looks_of
from inference.types import Floats, Image

RED, BLUE = (200, 30, 30), (30, 30, 200)
PLACES = np.array(((0.1, 0.2, 0.2, 0.6), (0.5, 0.2, 0.2, 0.6)), np.float32)


def picture(*colours: tuple[int, int, int]) -> Image:
    """Who stands in `PLACES`: one colour above, grey below."""
    drawn = np.full((240, 320, 3), 120, np.uint8)
    for (x, y, width, height), colour in zip(PLACES.tolist(), colours, strict=True):
        rows, columns = (
            slice(round(y * 240), round((y + height / 2) * 240)),
            slice(round(x * 320), round((x + width) * 320)),
        )
        drawn[rows, columns] = colour
    return drawn


def test_a_look_is_the_colours_from_top_to_bottom() -> None:
    look = looks_of(picture(RED, BLUE), PLACES)[0].reshape(6, 3) * 255
    assert look[0] == pytest.approx(RED, abs=2)
    assert look[-1] == pytest.approx((120, 120, 120), abs=2)


@pytest.mark.parametrize(
    "box", [(0.5, 0.5, 0.0, 0.0), (0.99, 0.99, 0.4, 0.4), (-0.5, -0.5, 0.2, 0.2), (0, 0, 1, 1)]
)
def test_any_box_has_a_look(box: tuple[float, ...]) -> None:
    look = looks_of(picture(RED, BLUE), np.array([box], np.float32))
    assert look.shape == (1, 18)
    assert ((look >= 0) & (look <= 1)).all()


def test_no_boxes_have_no_looks() -> None:
    assert looks_of(picture(RED, BLUE), np.empty((0, 4), np.float32)).shape == (0, 18)


def learnt(looks: Floats) -> Appearance:
    """Has seen these two things again and again."""
    appearance = Appearance()
    for _ in range(100):
        appearance.worth(looks, looks)
        appearance.learn([(0, 0), (1, 1)])
    return appearance


def test_colours_speak_for_the_same_and_against_the_other() -> None:
    looks = looks_of(picture(RED, BLUE), PLACES)
    worth = learnt(looks).worth(looks, looks)
    assert worth.diagonal().min() > 1
    assert worth[0, 1] < -1


def test_where_all_look_alike_looks_say_nothing() -> None:
    looks = looks_of(picture(RED, RED), PLACES)
    assert np.abs(learnt(looks).worth(looks, looks)).max() < 0.5
