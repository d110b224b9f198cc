from __future__ import annotations

from dataclasses import replace

from mediaserver.rate_control import Observation, RateControl
from signaling.messages import Rate

START = Observation(received=0, inferred=0, width=640, height=480, ocr=False)


def hints(
    camera: float, capacity: float, seconds: int, *, ocr: bool = False, obey: bool = True
) -> list[tuple[int, Rate]]:
    """Plays a sender and an engine against the controller, second by second."""
    control, seen, sent = RateControl(), replace(START, ocr=ocr), []
    framerate, received, inferred = camera, 0.0, 0.0
    for second in range(seconds):
        hint = control.observe(float(second), seen)
        if hint is not None:
            sent.append((second, hint))
            framerate = min(camera, hint.max_framerate) if obey else framerate
        received += framerate
        inferred += min(framerate, capacity)
        seen = replace(seen, received=round(received), inferred=round(inferred))
    return sent


def test_a_slow_engine_asks_for_half_more_than_it_uses() -> None:
    sent = hints(camera=30, capacity=10, seconds=20)
    assert len(sent) == 1
    assert abs(sent[0][1].max_framerate - 15) < 1


def test_never_less_than_five_and_never_more_than_the_camera_gives() -> None:
    assert hints(camera=30, capacity=1, seconds=10)[-1][1].max_framerate == 5
    assert abs(hints(camera=20, capacity=100, seconds=10)[-1][1].max_framerate - 20) < 1


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


def test_a_scaled_picture_is_not_scaled_again() -> None:
    control = RateControl()
    for second, size in ((0, (1280, 960)), (2, (1280, 960)), (4, (320, 240)), (6, (320, 240))):
        hint = control.observe(
            float(second), Observation(second * 30, second * 10, size[0], size[1], ocr=False)
        )
        if second == 2:
            assert hint is not None
            assert hint.scale_resolution_down_by == 4
        else:
            assert hint is None


def test_nothing_is_asked_while_nothing_flows() -> None:
    control = RateControl()
    assert [control.observe(float(second), START) for second in range(10)] == [None] * 10
