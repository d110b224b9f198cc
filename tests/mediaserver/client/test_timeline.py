from __future__ import annotations

import pytest

from mediaserver.client.timeline import Timeline
from signaling.findings import FrameInfo

NOW_MS = 1_795_441_737_000.0


def frame(rtp_timestamp: int | None, capture_time_ms: float | None) -> FrameInfo:
    return FrameInfo(rtp_timestamp, 0.0, capture_time_ms, 640, 480)


def timeline() -> Timeline:
    """Thirty frames, one each 33 ms."""
    made = Timeline()
    for number in range(30):
        made.sent(NOW_MS + number * 1000 / 30, number / 30)
    return made


def test_a_frame_is_found_by_its_capture_time_though_it_is_a_little_off() -> None:
    assert timeline().locate(frame(None, NOW_MS + 337)) == pytest.approx(10 / 30)


def test_before_any_capture_time_nothing_can_be_told() -> None:
    assert timeline().locate(frame(1000, None)) is None


def test_earlier_frames_are_found_by_rtp_once_one_is_known() -> None:
    known = timeline()
    known.locate(frame(90_000, NOW_MS + 500))
    assert known.locate(frame(90_000 - 9_000, None)) == pytest.approx(0.4)


def test_a_frame_that_was_sent_long_ago_is_found_by_rtp() -> None:
    known = timeline()
    for number in range(30, 2000):
        known.sent(NOW_MS + number * 1000 / 30, number / 30)
    known.locate(frame(90_000 * 60, NOW_MS + 60_000))
    assert known.locate(frame(90_000 * 2, NOW_MS + 2_000)) == pytest.approx(2.0)


def test_rtp_timestamps_may_wrap() -> None:
    known = timeline()
    known.locate(frame(2_000, NOW_MS + 500))
    assert known.locate(frame(2**32 - 7_000, None)) == pytest.approx(0.4)


def test_nothing_was_sent() -> None:
    assert Timeline().locate(frame(1, NOW_MS)) is None


def test_what_is_never_told_counts_from_the_first_frame() -> None:
    late = FrameInfo(1_000, 500.0, None, 640, 480)
    assert timeline().settle(late) == 0.5
    known = timeline()
    known.locate(frame(1_000, NOW_MS + 200))
    assert known.settle(late) == pytest.approx(0.2)
