from __future__ import annotations

import time
from struct import pack

import pytest
from aiortc.rtcsctptransport import (
    Chunk,
    DataChunk,
    ForwardTsnChunk,
    HeartbeatChunk,
    InitChunk,
    ReconfigChunk,
    SackChunk,
    StreamResetOutgoingParam,
    serialize_packet,
)

from mediaserver.webrtc.sctp_policy import SctpPolicy, Verdict, is_well_formed

DCEP, TEXT = 50, 51
WHOLE, FIRST, MIDDLE = 3, 2, 0
OPEN = pack("!BBHLHH", 3, 0x81, 0, 0, 7, 0) + b"results"


def data(user_data: bytes = OPEN, *, flags: int = WHOLE, protocol: int = DCEP, stream: int = 1) -> DataChunk:
    chunk = DataChunk(flags=flags)
    chunk.user_data, chunk.protocol, chunk.stream_id = user_data, protocol, stream
    return chunk


def sack(cumulative_tsn: int, *gaps: tuple[int, int]) -> SackChunk:
    chunk = SackChunk()
    chunk.cumulative_tsn, chunk.gaps = cumulative_tsn, list(gaps)
    return chunk


def judged(
    policy: SctpPolicy, chunk: Chunk, *, misordered: int = 0, channels: tuple[int, ...] = ()
) -> Verdict:
    return policy.judge(chunk, next_tsn=1000, misordered=misordered, channels=channels)


def packet(*chunks: bytes | Chunk) -> bytes:
    return bytes(12) + b"".join(chunk if isinstance(chunk, bytes) else bytes(chunk) for chunk in chunks)


class TestPolicy:
    def test_a_data_channel_is_opened(self) -> None:
        assert judged(SctpPolicy(), data()) is Verdict.PASS

    def test_a_channel_that_was_closed_may_be_opened_again_but_none_twice_at_once(self) -> None:
        policy = SctpPolicy()
        assert [judged(policy, data()) for _ in range(2)] == [Verdict.PASS] * 2
        assert judged(policy, data(), channels=(1,)) is Verdict.REFUSE

    def test_an_opening_that_is_sent_again_harms_nothing(self) -> None:
        policy = SctpPolicy()
        assert judged(policy, data()) is Verdict.PASS
        again = {"next_tsn": 1000, "misordered": 0, "channels": (1,), "came_before": True}
        assert {policy.judge(data(), **again) for _ in range(20)} == {Verdict.DISCARD}  # type: ignore[arg-type]
        assert judged(policy, data(stream=3), channels=(1,)) is Verdict.PASS

    def test_channels_without_number_are_not_opened(self) -> None:
        policy = SctpPolicy()
        verdicts = [judged(policy, data(stream=number)) for number in range(17)]
        assert verdicts == [Verdict.PASS] * 16 + [Verdict.REFUSE]

    @pytest.mark.parametrize(
        "opening",
        [
            OPEN[:11],
            pack("!BBHLHH", 3, 0, 0, 0, 7, 0) + b"short",
            pack("!BBHLHH", 3, 0, 0, 0, 2, 0) + b"\xff\xfe",
            pack("!BBHLHH", 3, 0, 0, 0, 257, 0) + bytes(257),
        ],
    )
    def test_an_opening_that_makes_no_sense_is_refused(self, opening: bytes) -> None:
        assert judged(SctpPolicy(), data(opening)) is Verdict.REFUSE

    def test_a_word_is_thrown_away_and_a_flood_is_refused(self) -> None:
        policy = SctpPolicy()
        assert judged(policy, data(b"hello", protocol=TEXT)) is Verdict.DISCARD
        verdicts = {judged(policy, data(bytes(1000), protocol=TEXT)) for _ in range(10)}
        assert verdicts == {Verdict.DISCARD, Verdict.REFUSE}

    def test_a_message_that_never_ends_is_refused_after_a_few_kilobytes_also_as_single_bytes(self) -> None:
        policy = SctpPolicy()
        verdicts = [judged(policy, data(b"x", flags=FIRST, protocol=TEXT))]
        while verdicts[-1] is Verdict.DISCARD:
            verdicts.append(judged(policy, data(b"x", flags=MIDDLE, protocol=TEXT)))
        assert verdicts[-1] is Verdict.REFUSE
        assert len(verdicts) < 300

    def test_an_opening_in_fragments_is_no_opening(self) -> None:
        assert judged(SctpPolicy(), data(flags=FIRST)) is Verdict.DISCARD

    def test_an_acknowledgement_is_for_a_channel_that_is_open(self) -> None:
        assert judged(SctpPolicy(), data(b"\x02"), channels=(1,)) is Verdict.PASS
        assert judged(SctpPolicy(), data(b"\x02")) is Verdict.DISCARD

    def test_chunks_that_come_far_too_early_are_refused(self) -> None:
        assert judged(SctpPolicy(), data(), misordered=65) is Verdict.REFUSE

    @pytest.mark.parametrize(
        ("chunk", "verdict"),
        [
            (sack(999), Verdict.PASS),
            (sack(990, (2, 3), (5, 9)), Verdict.PASS),
            (sack(990, (2, 10)), Verdict.REFUSE),
            (sack(990, (5, 6), (2, 3)), Verdict.REFUSE),
            (sack(990, (3, 2)), Verdict.REFUSE),
            (sack(1000), Verdict.REFUSE),
            (sack(990, *[(1, 65535)] * 300), Verdict.REFUSE),
        ],
    )
    def test_only_what_was_sent_can_be_acknowledged(self, chunk: SackChunk, verdict: Verdict) -> None:
        assert judged(SctpPolicy(), chunk) is verdict

    def test_streams_that_are_told_to_be_skipped_are_none_of_ours(self) -> None:
        chunk = ForwardTsnChunk()
        chunk.streams = [(number, 1) for number in range(300)]
        assert judged(SctpPolicy(), chunk) is Verdict.PASS
        assert chunk.streams == []


class TestForm:
    def test_what_aiortc_sends_is_well_formed(self) -> None:
        reset = ReconfigChunk()
        reset.params = [(13, bytes(StreamResetOutgoingParam(1, 2, 3, [5])))]
        heartbeat = HeartbeatChunk()
        heartbeat.params = [(1, b"now")]
        init = InitChunk()
        init.params = [(49152, b""), (32776, b"\x82\xc0")]
        for chunk in (data(), sack(1, (2, 3)), ForwardTsnChunk(), reset, heartbeat, init):
            assert is_well_formed(serialize_packet(5000, 5000, 1, chunk)), chunk

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            bytes(15),
            packet(pack("!BBH", 0, 3, 3)),
            packet(pack("!BBH", 0, 3, 400)),
            packet(pack("!BBHHHHH", 4, 0, 12, 1, 0, 0, 0)),  # a parameter of length 0
            packet(pack("!BBHHH", 9, 0, 8, 1, 200)),
            packet(pack("!BBH", 1, 0, 8) + bytes(4)),
            packet(InitChunk(), InitChunk()),
            packet(pack("!BBH", 3, 0, 16) + bytes(8) + pack("!HH", 9, 9)),
            packet(pack("!BBH", 192, 0, 10) + bytes(8)),
            packet(pack("!BBHHHL", 130, 0, 12, 13, 8, 0)),
            packet(pack("!BBH", 7, 0, 4)),
        ],
    )
    def test_what_would_harm_aiortc_is_not(self, raw: bytes) -> None:
        assert not is_well_formed(raw)

    def test_looking_takes_time_that_is_linear_in_the_bytes(self) -> None:
        def seconds(chunks: int) -> float:
            raw = packet(*[pack("!BBHHH", 9, 0, 8, 1, 4)] * chunks)
            began = time.process_time()
            for _ in range(20):
                assert is_well_formed(raw)
            return time.process_time() - began

        small, large = (min(seconds(chunks) for _ in range(3)) for chunks in (500, 5000))
        assert large < 30 * small
