from __future__ import annotations

from mediaserver.client.jpeg_pacing import FORMS, JpegPacing


def test_no_more_than_two_frames_are_without_a_result() -> None:
    pacing = JpegPacing()
    for number in (1, 2):
        assert pacing.has_room(0.0)
        pacing.sent(number, 1000.0 * number, 0.0)
    assert not pacing.has_room(5.0), "however long that takes"
    pacing.answered(1000.0)
    assert pacing.has_room(5.0)


def test_a_frame_that_was_received_and_has_no_result_is_given_up() -> None:
    pacing = JpegPacing()
    pacing.sent(1, 1000.0, 0.0)
    pacing.sent(2, 2000.0, 0.0)
    pacing.received(1, 0.1)
    assert not pacing.has_room(1.0)
    assert pacing.has_room(1.2)


def test_a_newer_result_answers_older_frames() -> None:
    pacing = JpegPacing()
    pacing.sent(1, 1000.0, 0.0)
    pacing.sent(2, 2000.0, 0.0)
    pacing.answered(2000.04)
    pacing.sent(3, 3000.0, 0.1)
    assert pacing.has_room(0.1)


def play(pacing: JpegPacing, took_s: float, count: int, begin: float) -> float:
    """So many frames, one after another; returns when the last one was answered."""
    now = begin
    for number in range(count):
        pacing.sent(number, now, now)
        now += took_s
        pacing.received(number, now)
        pacing.answered(now)
    return now


def test_pictures_get_smaller_on_a_narrow_link_and_larger_again_on_a_wide_one() -> None:
    pacing = JpegPacing()
    now = play(pacing, 0.03, 5, 100.0)
    assert (pacing.form, pacing.is_narrow) == (FORMS[0], False)
    now = play(pacing, 0.8, len(FORMS), now)
    assert (pacing.form, pacing.is_narrow) == (FORMS[-1], True)
    play(pacing, 0.05, 21 * len(FORMS), now)
    assert (pacing.form, pacing.is_narrow) == (FORMS[0], False)


def test_a_long_way_is_no_narrow_one() -> None:
    pacing = JpegPacing()
    play(pacing, 0.6, 50, 100.0)
    assert (pacing.form, pacing.is_narrow) == (FORMS[0], False)


def test_on_a_narrow_link_they_go_one_by_one() -> None:
    pacing = JpegPacing()
    now = play(pacing, 0.03, 1, 100.0)
    now = play(pacing, 0.3, 1, now)
    pacing.sent(7, now, now)
    assert not pacing.has_room(now)
    pacing.received(7, now + 0.3)
    assert pacing.has_room(now + 0.3), "its result may still be made"
