from __future__ import annotations

from dataclasses import replace

from mediaserver.session.rate_control import Observation, RateControl
from signaling.messages import Rate

START = Observation(received=0, inferred=0, width=640, height=480, ocr=False)


def hints(
    camera: float,
    capacity: float,
    seconds: int,
    *,
    ocr: bool = False,
    framerate: float | None = None,
    told: float | None = None,
) -> list[tuple[int, Rate]]:
    """Plays a sender, at ``framerate`` at first, and an engine against the controller, second by second."""
    control, seen, sent = RateControl(), replace(START, ocr=ocr, camera_framerate=told), []
    framerate, received, inferred = framerate or camera, 0.0, 0.0
    for second in range(seconds):
        hint = control.observe(float(second), seen)
        if hint is not None:
            sent.append((second, hint))
            framerate = min(camera, hint.max_framerate)
        received += framerate
        inferred += min(framerate, capacity)
        seen = replace(seen, received=round(received), inferred=round(inferred))
    return sent


def test_a_slow_engine_asks_for_half_more_than_it_uses() -> None:
    sent = hints(camera=30, capacity=10, seconds=20)
    assert len(sent) == 1
    assert abs(sent[0][1].max_framerate - 15) < 1


def test_never_less_than_five_and_always_room_above_what_is_used() -> None:
    assert hints(camera=30, capacity=1, seconds=10)[-1][1].max_framerate == 5
    assert abs(hints(camera=20, capacity=100, seconds=10)[-1][1].max_framerate - 30) < 1


def test_no_more_is_asked_for_than_the_camera_gives_where_that_is_known() -> None:
    assert hints(camera=20, capacity=100, seconds=10, told=20)[-1][1].max_framerate == 20
    assert hints(camera=2, capacity=100, seconds=10, told=2)[-1][1].max_framerate == 2
    assert abs(hints(camera=30, capacity=10, seconds=10, told=30)[-1][1].max_framerate - 15) < 1
    assert hints(camera=30, capacity=10, seconds=10, told=0.01)[-1][1].max_framerate > 0


def test_a_sender_that_is_held_by_an_earlier_hint_is_let_go() -> None:
    """As after a reconnect: the control is new, and what it sees is not what the camera could give."""
    assert hints(camera=30, capacity=60, seconds=30, framerate=6)[-1][1].max_framerate > 30


def test_the_moment_in_which_frames_begin_is_no_measure_of_their_rate() -> None:
    control = RateControl()
    asked = []
    for second, frames in enumerate((0, 0, 0, 1, 31, 61, 91)):
        seen = replace(START, received=frames, inferred=frames)
        asked.append(control.observe(float(second), seen))
    assert [hint.max_framerate for hint in asked if hint is not None] == [45]


def test_when_the_engine_gets_faster_the_rate_comes_back() -> None:
    control = RateControl()
    seen, camera, framerate, asked = START, 30.0, 30.0, []
    received = inferred = 0.0
    for second in range(40):
        capacity = 4.0 if second < 10 else 60.0
        hint = control.observe(float(second), seen)
        if hint is not None:
            framerate = min(camera, hint.max_framerate)
            asked.append(hint.max_framerate)
        received += framerate
        inferred += min(framerate, capacity)
        seen = replace(seen, received=round(received), inferred=round(inferred))
    assert asked[0] < 10
    assert asked[-1] > 25


def test_small_changes_are_not_worth_a_hint() -> None:
    control = RateControl()
    received = inferred = 0
    sent = 0
    for second in range(0, 60, 2):
        sent += (
            control.observe(float(second), replace(START, received=received, inferred=inferred)) is not None
        )
        received += 60
        inferred += 20 + (1 if second % 4 else -1)
    assert sent == 1


def test_the_picture_shrinks_to_the_canvas_and_grows_for_ocr() -> None:
    assert hints(camera=30, capacity=10, seconds=10)[-1][1].scale_resolution_down_by == 2
    assert hints(camera=30, capacity=10, seconds=10, ocr=True)[-1][1].scale_resolution_down_by == 1


def scales(*sizes: tuple[int, int]) -> list[float | None]:
    """What is asked of a sender whose picture has these sizes, two seconds each."""
    control = RateControl()
    asked = []
    for number, (width, height) in enumerate((sizes[0], sizes[0], *sizes)):
        hint = control.observe(2.0 * number, Observation(number * 60, number * 20, width, height, ocr=False))
        asked.append(None if hint is None else hint.scale_resolution_down_by)
    return asked[2:]


def test_a_scaled_picture_is_not_scaled_again() -> None:
    assert scales((1280, 960), (320, 240), (320, 240)) == [4, None, None]


def test_a_sender_that_does_not_scale_is_asked_once() -> None:
    assert scales((1280, 960), (1280, 960), (1280, 960)) == [4, None, None]


def test_a_smaller_camera_is_scaled_less() -> None:
    assert scales((1280, 960), (320, 240), (160, 120), (320, 240)) == [4, None, 2, None]


def test_a_larger_camera_is_scaled_more() -> None:
    assert scales((640, 480), (320, 240), (640, 480), (1280, 960)) == [2, None, None, 4]


def test_a_camera_that_was_turned_keeps_its_short_side() -> None:
    assert scales((1280, 720), (427, 240), (240, 427), (320, 569)) == [3, None, 2.25, None]


def test_nothing_is_asked_while_nothing_flows() -> None:
    control = RateControl()
    assert [control.observe(float(second), START) for second in range(10)] == [None] * 10
