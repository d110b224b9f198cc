from __future__ import annotations

from mediaserver.webrtc.result_flow import ResultFlow

WRAP = 1 << 32


def test_the_first_result_has_room() -> None:
    flow = ResultFlow()
    assert flow.has_room(0.0)
    assert not flow.is_stalled(0.0)


def test_a_path_with_a_queue_gets_no_more_until_it_is_empty() -> None:
    flow = ResultFlow()
    flow.sent(1, 0.0)
    flow.acknowledged(1, 0.05)
    flow.sent(2, 1.0)
    assert flow.has_room(1.2)
    assert not flow.has_room(1.4)
    flow.acknowledged(2, 1.5)
    assert flow.has_room(1.5)


def test_a_long_path_has_many_under_way() -> None:
    flow = ResultFlow()
    for number in range(30):
        flow.sent(number, number / 30)
        if number >= 18:
            flow.acknowledged(number - 18, number / 30)
        if number > 18:
            assert flow.has_room(number / 30)


def test_what_was_lost_is_not_waited_for() -> None:
    flow = ResultFlow()
    for number in range(1, 4):
        flow.sent(number, number / 10)
    flow.acknowledged(3, 0.4)  # 1 and 2 are missing
    assert flow.has_room(9.0)


def test_a_path_without_answers_is_stalled_until_one_comes() -> None:
    flow = ResultFlow()
    flow.sent(1, 0.0)
    flow.sent(2, 0.1)
    assert not flow.is_stalled(0.9)
    assert flow.is_stalled(1.1)
    flow.acknowledged(2, 1.2)
    assert not flow.is_stalled(1.2)


def test_numbers_wrap() -> None:
    flow = ResultFlow()
    flow.sent(WRAP - 1, 0.0)
    flow.sent(2, 0.1)
    flow.acknowledged(2, 0.2)
    assert not flow.is_stalled(5.0)
