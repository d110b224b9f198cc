from __future__ import annotations

from mediaserver.client.network_words import NetworkWords, NoMediaPath


def test_a_narrow_link_is_told_once_it_lasts_and_seldom() -> None:
    told: list[str] = []
    words = NetworkWords(told.append)
    for tick in range(40):
        words.sent(tick / 4, is_narrow=tick > 4)
    assert told == ["your link is too narrow for video: sending 4 pictures a second"]


def test_a_link_that_is_narrow_for_a_moment_is_no_news() -> None:
    told: list[str] = []
    words = NetworkWords(told.append)
    for tick in range(100):
        words.sent(tick / 4, is_narrow=tick % 10 < 5)
    assert told == []


def test_packets_that_are_late_all_at_once_are_called_late_and_not_a_narrow_link() -> None:
    told: list[str] = []
    words = NetworkWords(told.append)
    for tick in range(48):
        words.sent(tick / 4, is_narrow=tick > 4)
        words.result(tick / 4, 1.3 if tick > 8 else 0.1)
    assert told == ["results are late: 1.3 s behind the picture"]


def test_the_way_is_told_when_it_changes() -> None:
    told: list[str] = []
    words = NetworkWords(told.append)
    words.webrtc_works()
    for _ in range(3):
        words.no_media_path(NoMediaPath.BLOCKED)
    words.webrtc_works()
    assert len(told) == 2
    assert told[0].startswith("UDP is blocked: ")


def test_results_that_stay_late_are_told() -> None:
    told: list[str] = []
    words = NetworkWords(told.append)
    for second in range(12):
        words.result(float(second), 0.1 if second == 3 else 1.7)
    assert told == ["results are late: 1.7 s behind the picture"]
