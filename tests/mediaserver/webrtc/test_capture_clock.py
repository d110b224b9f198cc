from __future__ import annotations

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


class TestCaptureClock:
    def test_nothing_is_known_before_the_first_report(self) -> None:
        assert CaptureClock().capture_time_ms(1, 0) is None

    @pytest.mark.parametrize("reported", [1000, 10, WRAP - 10])
    def test_frames_before_and_after_the_report(self, reported: int) -> None:
        clock = CaptureClock()
        clock.report(1, ntp(100), reported)
        assert clock.capture_time_ms(1, (reported + SECOND) % WRAP) == pytest.approx(101_000)
        assert clock.capture_time_ms(1, (reported - SECOND) % WRAP) == pytest.approx(99_000)

    def test_a_sender_that_sets_its_clock_is_followed(self) -> None:
        clock = CaptureClock()
        clock.report(1, ntp(100), 0)
        clock.report(1, ntp(5000), SECOND)
        assert clock.capture_time_ms(1, SECOND) == pytest.approx(5_000_000)

    def test_a_new_source_has_no_time_until_its_own_report(self) -> None:
        clock = CaptureClock()
        clock.report(1, ntp(100), 0)
        assert clock.capture_time_ms(2, 0) is None
        clock.report(2, ntp(200), 7 * SECOND)
        assert clock.capture_time_ms(2, 8 * SECOND) == pytest.approx(201_000)

    def test_a_report_without_a_clock_is_ignored(self) -> None:
        clock = CaptureClock()
        clock.report(1, 0, 0)
        assert clock.capture_time_ms(1, 0) is None

    def test_old_sources_are_forgotten(self) -> None:
        clock = CaptureClock()
        for ssrc in range(MAX_SOURCES + 1):
            clock.report(ssrc, ntp(100), 0)
        assert clock.capture_time_ms(0, 0) is None
        assert clock.capture_time_ms(1, 0) is not None


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
