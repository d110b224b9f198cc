from __future__ import annotations

import itertools

import pytest

from mediaserver.webrtc.capture_clock import (
    CLOCK_RATE,
    MAX_SOURCES,
    NTP_TO_UNIX_S,
    CaptureClock,
    MediaTime,
    ntp_to_unix_ms,
    rtp_difference,
)

SECOND = CLOCK_RATE
WRAP = 1 << 32


def ntp(unix_s: float) -> int:
    return int((unix_s + NTP_TO_UNIX_S) * WRAP)


class TestNtp:
    def test_the_unix_epoch(self) -> None:
        assert ntp_to_unix_ms(NTP_TO_UNIX_S << 32) == 0

    def test_fractions_are_kept(self) -> None:
        assert ntp_to_unix_ms(ntp(1_700_000_000.25)) == pytest.approx(1_700_000_000_250, abs=0.001)

    def test_the_era_after_2036(self) -> None:
        in_2040 = 2_208_988_800.5
        assert ntp_to_unix_ms(ntp(in_2040) % (1 << 64)) == pytest.approx(in_2040 * 1000, abs=0.001)


@pytest.mark.parametrize(
    ("later", "earlier", "ticks"),
    [(500, 200, 300), (200, 500, -300), (100, WRAP - 100, 200), (WRAP - 100, 100, -200)],
)
def test_differences_wrap_both_ways(later: int, earlier: int, ticks: int) -> None:
    assert rtp_difference(later, earlier) == ticks


class TestReports:
    @pytest.mark.parametrize("reported", [1000, 10, WRAP - 10])
    def test_frames_before_and_after_the_report(self, reported: int) -> None:
        clock = CaptureClock()
        clock.report(1, ntp(100), reported, 0.0)
        for seconds in (1, -1):
            captured = clock.capture_time(1, (reported + seconds * SECOND) % WRAP, 0.0)
            assert captured == (pytest.approx(100_000 + 1000 * seconds), False)

    def test_a_sender_that_sets_its_clock_is_followed(self) -> None:
        clock = CaptureClock()
        clock.report(1, ntp(100), 0, 0.0)
        clock.report(1, ntp(5000), SECOND, 1000.0)
        assert clock.capture_time(1, SECOND, 0.0) == (pytest.approx(5_000_000), False)

    def test_a_report_that_was_dated_late_shifts_nothing(self) -> None:
        """aiortc dates a frame by when its last packet was sent, however long it was encoded."""
        clock = CaptureClock()
        for number, late_s in enumerate((0.4, 0.01, 0.43, 0.2, 0.426)):
            arrived_ms = 1000 * (number + late_s)
            clock.report(1, ntp(100 + number + late_s), number * SECOND, arrived_ms)
            captured_ms = clock.capture_time(1, number * SECOND, arrived_ms).unix_ms
            assert captured_ms <= 100_000 + arrived_ms + 0.1, "not after it came"
        assert clock.capture_time(1, 4 * SECOND, 4426.0).unix_ms == pytest.approx(104_010)

    def test_a_new_source_has_no_report_before_its_own(self) -> None:
        clock = CaptureClock()
        clock.report(1, ntp(100), 0, 0.0)
        assert clock.capture_time(2, 0, 0.0).estimated
        clock.report(2, ntp(200), 0, 0.0)
        assert clock.capture_time(2, SECOND, 1000.0) == (pytest.approx(201_000), False)

    def test_a_report_without_a_clock_is_ignored(self) -> None:
        clock = CaptureClock()
        clock.report(1, 0, 0, 0.0)
        assert clock.capture_time(1, 0, 0.0).estimated

    def test_old_sources_are_forgotten(self) -> None:
        clock = CaptureClock()
        for ssrc in range(MAX_SOURCES + 1):
            clock.report(ssrc, ntp(100), 0, 0.0)
        assert clock.capture_time(0, 0, 0.0).estimated
        assert not clock.capture_time(1, 0, 0.0).estimated

    def test_reports_that_run_ahead_of_the_frames_are_not_believed(self) -> None:
        """As of GStreamer 1.22, whose timestamps in reports run at twice the rate of its clock."""
        clock = CaptureClock()
        for frame in range(300):
            at_ms = 1000 * frame / 30
            captured = clock.capture_time(1, frame * SECOND // 30, at_ms)
            if frame % 20 == 10:
                clock.report(1, ntp(at_ms / 1000), 2 * frame * SECOND // 30, at_ms)
        assert captured == (pytest.approx(at_ms, abs=20), True)

    def test_reports_of_a_sender_that_is_slow_to_encode_or_that_pauses_are_believed(self) -> None:
        """libwebrtc's are of the time at which they are sent; aiortc's of the newest frame, however old."""
        for late_ms, reported in ((200, 10 * SECOND), (30, 2 * SECOND)):
            clock = CaptureClock()
            for frame in range(300):
                clock.capture_time(1, frame * SECOND // 30, 1000 * frame / 30 + late_ms)
            clock.report(1, ntp(100), reported, 10_000)
            assert clock.capture_time(1, reported, 10_000) == (pytest.approx(100_000), False)


class TestEstimates:
    def test_delays_that_vary_are_left_out(self) -> None:
        clock, late_ms = CaptureClock(), itertools.cycle((0, 5, 300, 40, 12))
        estimates = [
            clock.capture_time(1, n * SECOND // 30, 1000 * n / 30 + next(late_ms)) for n in range(100)
        ]
        errors = [estimate.unix_ms - 1000 * n / 30 for n, estimate in enumerate(estimates)]
        assert all(estimate.estimated for estimate in estimates)
        assert max(map(abs, errors)) < 5

    def test_a_first_frame_that_was_held_up_is_forgotten(self) -> None:
        clock = CaptureClock()
        clock.capture_time(1, 0, 900.0)
        assert clock.capture_time(1, SECOND, 1000.0).unix_ms == 1000.0
        assert clock.capture_time(1, 2 * SECOND, 2500.0).unix_ms == pytest.approx(2000, abs=2)

    @pytest.mark.parametrize("rate", [1.0005, 0.9995])
    def test_a_clock_that_runs_at_another_rate_is_followed(self, rate: float) -> None:
        clock = CaptureClock()
        for second in range(3600):
            estimate = clock.capture_time(1, second * SECOND % WRAP, 1000 * second * rate).unix_ms
            assert estimate == pytest.approx(1000 * second * rate, abs=1)

    @pytest.mark.parametrize("jump", [3600 * SECOND, -3600 * SECOND, 1 << 31])
    def test_timestamps_that_begin_anew_are_taken_up_at_once(self, jump: int) -> None:
        clock = CaptureClock()
        clock.capture_time(1, 0, 0.0)
        clock.capture_time(1, SECOND, 1000.0)
        for second in (2, 3):
            estimate = clock.capture_time(1, (second * SECOND + jump) % WRAP, 1000.0 * second)
            assert estimate == (pytest.approx(1000 * second), True)


class TestMediaTime:
    def test_it_counts_from_the_first_frame_over_a_wrap(self) -> None:
        time = MediaTime()
        assert time.pts_ms(1, WRAP - 900, 0.0) == 0
        assert time.pts_ms(1, 900, 0.0) == pytest.approx(20)

    def test_a_new_source_goes_on_by_the_time_between_arrivals(self) -> None:
        time = MediaTime()
        time.pts_ms(1, 0, 10.0)
        time.pts_ms(1, SECOND, 11.0)
        assert time.pts_ms(2, 123_456, 11.5) == pytest.approx(1500)
        assert time.pts_ms(2, 123_456 + SECOND, 12.5) == pytest.approx(2500)
