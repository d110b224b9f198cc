from __future__ import annotations

from struct import pack

import pytest

from mediaserver.webrtc.datagram_guard import (
    MAX_SOURCES,
    ArrivalClock,
    DatagramGuard,
    SourceLimit,
    datagram_surplus,
)
from mediaserver.webrtc.remote_candidates import RemoteCandidates, candidate_budget
from signaling.rate_limit import RateLimit

RTP = b"\x80" + bytes(100)


def record(payload: bytes) -> bytes:
    """DTLS 1.2 application data."""
    return pack("!BHQH", 23, 0xFEFD, 1, len(payload)) + payload


def guard_with(surplus: RateLimit) -> DatagramGuard:
    return DatagramGuard(
        RemoteCandidates(["192.0.2.7"], behind_nat=False, budget=candidate_budget()), surplus
    )


@pytest.fixture
def guard() -> DatagramGuard:
    return guard_with(datagram_surplus())


def test_a_flood_is_dropped_where_an_ordinary_stream_is_taken(guard: DatagramGuard) -> None:
    assert all(guard.admits_datagram(RTP, waiting=0) for _ in range(1000))
    assert not all(guard.admits_datagram(RTP, waiting=0) for _ in range(3000))


def test_many_floods_leave_an_ordinary_stream_what_is_its_own() -> None:
    surplus = datagram_surplus()
    floods = [guard_with(surplus) for _ in range(8)]
    taken = [sum(flood.admits_datagram(RTP, waiting=0) for _ in range(3000)) for flood in floods]
    assert sum(taken[1:]) < 7 * taken[0]
    ordinary = guard_with(surplus)
    assert all(ordinary.admits_datagram(RTP, waiting=0) for _ in range(300))


def test_nothing_piles_up_while_the_event_loop_is_busy(guard: DatagramGuard) -> None:
    assert guard.admits_datagram(RTP, waiting=511)
    assert not guard.admits_datagram(RTP, waiting=512)


def test_of_application_data_one_record_comes_at_a_time(guard: DatagramGuard) -> None:
    assert guard.admits_datagram(record(b"sctp"), waiting=0)
    assert not guard.admits_datagram(record(b"sctp") * 2, waiting=0)
    assert not guard.admits_datagram(record(b"sctp")[:-1], waiting=0)
    assert not guard.admits_datagram(b"", waiting=0)


def test_checks_are_answered_at_a_bounded_rate(guard: DatagramGuard) -> None:
    answered = sum(guard.admits_request() for _ in range(1000))
    assert 200 <= answered < 300


def test_a_peer_has_so_many_sources_and_no_more() -> None:
    sources = SourceLimit()
    assert [sources.admits(ssrc) for ssrc in range(MAX_SOURCES + 2)] == [True] * MAX_SOURCES + [False] * 2
    assert sources.admits(0)


def test_what_fits_into_no_packet_is_not_looked_at(guard: DatagramGuard) -> None:
    assert guard.admits_size(bytes(1500))
    assert not guard.admits_size(bytes(9000))


def test_a_pause_is_a_second_at_most_and_time_does_not_run_backwards() -> None:
    clock = ArrivalClock()
    times = [clock.without_pauses(ms) for ms in (50_000, 50_020, 3_650_020, 3_650_040, 20, 40)]
    assert times == [0, 20, 1020, 1040, 1040, 1060]
