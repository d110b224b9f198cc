from __future__ import annotations

import numpy as np

from inference.types import Image
from mediaserver.client.held_texts import HeldTexts
from signaling.findings import FrameInfo, WireText
from signaling.messages import Result

SIGN = WireText("EXIT", 0.9, ((0.25, 0.25), (0.5, 0.25), (0.5, 0.5), (0.25, 0.5)))


def frame(time_s: float) -> FrameInfo:
    return FrameInfo(round(time_s * 90_000), time_s * 1000, None, 64, 48)


def result(time_s: float, texts: list[WireText] | None = None, read_at: float | None = None) -> Result:
    read = None if read_at is None else frame(read_at)
    return Result(1, frame(time_s), None, None, texts, None, {}, {}, texts_frame=read)


def picture(shift: int = 0) -> Image:
    """A sign of stripes at the place of `SIGN`, ``shift`` pixels to its right."""
    pixels = np.full((48, 64, 3), 90, np.uint8)
    pixels[12:24, 16 + shift : 32 + shift : 4] = 255
    pixels[12:24, 17 + shift : 32 + shift : 4] = 255
    return pixels


def test_a_text_is_shown_from_the_frame_in_which_it_was_read() -> None:
    """It came with the result of a frame a second later."""
    texts = HeldTexts([(5.0, result(0.0)), (5.5, result(0.5)), (6.5, result(1.5, [SIGN], read_at=0.5))])
    assert texts.at(5.4, picture()) == []
    assert texts.at(5.5, picture()) == [SIGN]
    assert texts.at(6.5, picture()) == [SIGN]


def test_the_frame_that_was_read_need_not_have_a_result() -> None:
    texts = HeldTexts([(1.5, result(1.5, [SIGN], read_at=0.5))])
    assert texts.at(0.49, picture()) == []
    assert texts.at(0.5, picture()) == [SIGN]


def test_a_text_goes_with_its_sign_and_does_not_come_again() -> None:
    texts = HeldTexts([(0.5, result(0.5, [SIGN], read_at=0.5))])
    assert texts.at(0.5, picture()) == [SIGN]
    assert texts.at(0.6, picture(shift=2)) == []
    assert texts.at(0.7, picture()) == []


def test_a_text_stays_for_two_seconds_or_until_the_next_reading() -> None:
    texts = HeldTexts([(0.0, result(0.0, [SIGN])), (5.0, result(5.0, [SIGN])), (6.0, result(6.0, []))])
    shown = [len(texts.at(time_s, picture())) for time_s in (0.0, 1.9, 2.1, 5.0, 5.9, 6.0)]
    assert shown == [1, 1, 0, 1, 1, 0]


def test_a_text_outside_the_picture_is_not_shown() -> None:
    outside = WireText("EXIT", 0.9, ((1.5, 0.0), (2.0, 0.0), (2.0, 1.0), (1.5, 1.0)))
    assert HeldTexts([(0.0, result(0.0, [outside]))]).at(0.0, picture()) == []
