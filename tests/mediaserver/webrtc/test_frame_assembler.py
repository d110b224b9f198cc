from __future__ import annotations

import itertools
import random
from collections import defaultdict

import pytest

from mediaserver.webrtc.frame_assembler import (
    FIRST_RTT,
    MAX_GAP,
    MAX_WINDOW,
    EncodedFrame,
    FrameAssembler,
)
from mediaserver.webrtc.packet_window import MediaPacket
from tests.support.rtp_packets import FRAME_TICKS, CountingAssembler, Sender, add_all, started


class TestWholeFrames:
    def test_a_frame_leaves_with_its_last_packet(self) -> None:
        sender = Sender()
        assembler = CountingAssembler()
        first, second, last = sender.frame(at=1.5, keyframe=True)

        assert assembler.add(first) == []
        assert assembler.add(second) == []
        [frame] = assembler.add(last)

        assert frame.data == b"1000,1001,1002,"
        assert (frame.timestamp, frame.keyframe, frame.arrived) == (FRAME_TICKS, True, 1.5)
        assert assembler.due is None

    def test_reordered_packets_give_frames_in_order(self) -> None:
        sender = Sender()
        assembler = started(sender)
        one, two = sender.frame(size=2), sender.frame(size=2)

        frames = add_all(assembler, [two[1], one[1], two[0], one[0]])

        assert [frame.data for frame in frames] == [b"1003,1004,", b"1005,1006,"]

    def test_duplicates_are_ignored(self) -> None:
        sender = Sender()
        assembler = started(sender)
        frame = sender.frame()
        assert len(add_all(assembler, [frame[0], *frame, *frame])) == 1

    def test_a_sender_without_markers_ends_a_frame_by_beginning_the_next(self) -> None:
        sender = Sender()
        assembler = started(sender)
        sender.timestamp += FRAME_TICKS
        unmarked = [sender.packet(0.0, begins_frame=True), sender.packet(0.0)]
        assert add_all(assembler, unmarked) == []
        assert [f.data for f in add_all(assembler, sender.frame(size=1))] == [b"1003,1004,", b"1005,"]

    def test_padding_is_neither_part_of_a_frame_nor_missing(self) -> None:
        sender = Sender()
        assembler = started(sender)
        packets = [sender.padding(), sender.padding(), *sender.frame(size=1), sender.padding()]
        assert [f.data for f in add_all(assembler, packets)] == [b"1005,"]
        assert assembler.due is None

    @pytest.mark.parametrize("first_sequence", [0xFFFE, 0xFFF0])
    def test_sequence_numbers_and_timestamps_wrap(self, first_sequence: int) -> None:
        sender = Sender(first_sequence, first_timestamp=0xFFFFFFFF - 2 * FRAME_TICKS)
        assembler = CountingAssembler()
        packets = sender.frame(keyframe=True)
        for _ in range(20):
            packets += sender.frame()
        assert len(add_all(assembler, packets)) == 21

    def test_nothing_leaves_before_the_first_keyframe(self) -> None:
        sender = Sender()
        assembler = CountingAssembler()
        assert add_all(assembler, sender.frame()) == []
        assert assembler.dropped == 1
        assert len(add_all(assembler, sender.frame(keyframe=True) + sender.frame())) == 2

    def test_another_source_begins_at_its_own_keyframe(self) -> None:
        old, new = Sender(), Sender(first_sequence=40_000, ssrc=2)
        assembler = started(old)
        assert add_all(assembler, new.frame()) == []
        [frame] = add_all(assembler, new.frame(keyframe=True))
        assert frame.ssrc == assembler.ssrc == 2


class TestLoss:
    def test_a_missing_packet_is_asked_for_at_once_and_again_while_it_helps(self) -> None:
        sender = Sender()
        assembler = started(sender, max_wait=0.15)
        first, lost, last = sender.frame(at=1.0)
        add_all(assembler, [first, last])

        asked = []
        while assembler.due is not None and assembler.due < 1.149:
            now = assembler.due
            assert assembler.poll(now).nack == [lost.sequence_number]
            asked.append(now)

        # An answer to a request later than one round trip before the end would come too late.
        assert asked[0] == 1.0
        assert len(asked) == 2
        assert asked[-1] <= 1.0 + 0.15 - FIRST_RTT

    def test_the_answer_sets_the_frame_free_and_teaches_the_round_trip_time(self) -> None:
        sender = Sender()
        assembler = started(sender)
        for start in range(1, 40):
            first, lost, last = sender.frame(at=float(start))
            following = sender.frame(at=float(start), size=1)
            assert add_all(assembler, [first, last, *following]) == []
            assembler.poll(float(start))
            assert len(assembler.add(lost._replace(arrived=start + 0.02))) == 2
            assert assembler.due is None
        assert assembler.rtt == pytest.approx(0.02, abs=0.002)

    def test_nack_lists_ascend_over_a_wrap(self) -> None:
        sender = Sender(first_sequence=0xFFFA)
        assembler = started(sender)
        frame = sender.frame(size=6)
        add_all(assembler, [frame[0], frame[5]])
        assert assembler.poll(0.0).nack == [0, 1, 0xFFFE, 0xFFFF]

    def test_a_frame_is_given_up_after_the_wait_and_a_keyframe_asked_for(self) -> None:
        sender = Sender()
        assembler = started(sender, max_wait=0.15)
        hole = sender.frame(at=1.0)
        add_all(assembler, [hole[0], hole[2], *sender.frame(at=1.03)])

        feedback = assembler.poll(1.15)

        assert feedback.request_keyframe
        assert feedback.frames == []
        assert assembler.dropped == 2
        assert add_all(assembler, sender.frame(at=1.2)) == []
        assert len(add_all(assembler, sender.frame(at=1.25, keyframe=True))) == 1
        assert assembler.due is None

    def test_keyframe_requests_are_spaced_and_repeated_while_packets_come(self) -> None:
        sender = Sender()
        assembler = CountingAssembler(keyframe_interval=0.25)
        requests = []
        for step in range(100):
            now = step * 0.01
            add_all(assembler, sender.frame(at=now, size=1))
            if assembler.poll(now).request_keyframe:
                requests.append(step)
        assert requests == [0, 25, 50, 75]

    def test_a_silent_sender_is_not_asked_again(self) -> None:
        sender = Sender()
        assembler = CountingAssembler()
        add_all(assembler, sender.frame())
        assert assembler.poll(0.0).request_keyframe
        assert assembler.due is None

    def test_no_second_keyframe_is_asked_for_while_one_arrives(self) -> None:
        sender = Sender()
        assembler = CountingAssembler()
        first, *rest = sender.frame(keyframe=True)
        assembler.add(first)
        assert assembler.due is None
        assert len(add_all(assembler, rest)) == 1

    def test_a_hole_in_an_awaited_keyframe_is_repaired_for_longer(self) -> None:
        sender = Sender()
        assembler = CountingAssembler(max_wait=0.15)
        first, lost, last = sender.frame(keyframe=True)
        add_all(assembler, [first, last])
        for step in range(30):
            assert not assembler.poll(step / 100).request_keyframe
        assert len(assembler.add(lost._replace(arrived=0.3))) == 1
        assert assembler.due is None

    def test_what_is_missing_before_an_awaited_keyframe_is_not_asked_for(self) -> None:
        sender = Sender()
        assembler = CountingAssembler()
        delta, keyframe = sender.frame(), sender.frame(keyframe=True)
        add_all(assembler, [delta[0], keyframe[0]])
        assert assembler.poll(0.0).nack == []

    def test_a_stalled_receiver_can_demand_one_nevertheless(self) -> None:
        sender = Sender()
        assembler = CountingAssembler()
        assembler.add(sender.frame(keyframe=True)[0])
        assembler.demand_keyframe()
        assert assembler.poll(0.4).request_keyframe
        assert assembler.due is None

    def test_a_keyframe_behind_a_hole_makes_the_hole_moot(self) -> None:
        sender = Sender()
        assembler = started(sender)
        hole = sender.frame()
        frames = add_all(assembler, [hole[0], hole[2], *sender.frame(keyframe=True), *sender.frame()])
        assert [frame.keyframe for frame in frames] == [True, False]
        assert assembler.due is None

    def test_a_long_gap_is_not_repaired(self) -> None:
        sender = Sender()
        assembler = started(sender)
        sender.sequence += MAX_GAP + 1
        add_all(assembler, sender.frame(at=2.0))
        feedback = assembler.poll(2.0)
        assert feedback.nack == []
        assert feedback.request_keyframe

    def test_what_is_kept_is_bounded(self) -> None:
        sender = Sender()
        assembler = started(sender)
        sender.sequence += 1
        sender.timestamp += FRAME_TICKS
        for _ in range(3 * MAX_WINDOW):
            assembler.add(sender.packet(0.0))
            assert len(assembler._window) <= MAX_WINDOW
        assert len(add_all(assembler, sender.frame(keyframe=True))) == 1

    def test_numbering_that_jumps_back_is_followed(self) -> None:
        sender = Sender(first_sequence=30_000)
        assembler = started(sender)
        sender.sequence = 0
        assert len(add_all(assembler, sender.frame(keyframe=True))) == 1


class LossyPath:
    """A sender at 30 fps and an assembler, 20 ms apart, with random loss, lateness and duplicates between
    them. Steps are milliseconds."""

    DELAY = 20

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.loss, self.lateness, self.duplicates = (self.rng.random() * 0.3 for _ in range(3))
        self.sender = Sender(self.rng.randrange(1 << 16), self.rng.randrange(1 << 32))
        self.assembler = CountingAssembler()
        self.sent: dict[int, MediaPacket] = {}
        self.whole: list[EncodedFrame] = []
        """Every frame as it was sent."""
        self.left: list[tuple[int, EncodedFrame]] = []
        """Every frame that the assembler let go, and when."""
        self._on_the_way: dict[int, list[MediaPacket]] = defaultdict(list)
        self._keyframe_at = 0

    def run(self, steps: int) -> None:
        for step in range(steps):
            if step % 33 == 0:
                self._send_frame(step)
            for packet in self._on_the_way.pop(step, []):
                self._leave(step, self.assembler.add(packet._replace(arrived=step / 1000)))
            due = self.assembler.due
            if due is not None and due <= step / 1000:
                self._give_feedback(step)

    def _send_frame(self, step: int) -> None:
        keyframe = 0 <= self._keyframe_at <= step
        if keyframe:
            self._keyframe_at = -1
        packets = self.sender.frame(size=self.rng.randint(1, 5), keyframe=keyframe)
        self.whole.append(FrameAssembler._join(packets))
        for packet in packets:
            self.sent[packet.sequence_number] = packet
            self._transmit(step, packet)
            if self.rng.random() < self.duplicates:
                self._transmit(step, packet)

    def _transmit(self, step: int, packet: MediaPacket) -> None:
        late = self.rng.randrange(30) if self.rng.random() < self.lateness else 0
        if self.rng.random() >= self.loss:
            self._on_the_way[step + self.DELAY + late].append(packet)

    def _give_feedback(self, step: int) -> None:
        feedback = self.assembler.poll(step / 1000)
        self._leave(step, feedback.frames)
        for sequence_number in feedback.nack:
            self._transmit(step + self.DELAY, self.sent[sequence_number])
        if feedback.request_keyframe:
            self._keyframe_at = step + self.DELAY

    def _leave(self, step: int, frames: list[EncodedFrame]) -> None:
        self.left += [(step, frame) for frame in frames]


@pytest.mark.parametrize("seed", range(40))
def test_over_any_path_frames_leave_whole_in_order_and_soon(seed: int) -> None:
    path = LossyPath(seed)
    path.run(6000)

    position = {frame.timestamp: i for i, frame in enumerate(path.whole)}
    previous = -1
    for _, frame in path.left:
        index = position[frame.timestamp]
        assert frame.data == path.whole[index].data
        assert index == previous + 1 or (frame.keyframe and index > previous)
        previous = index
    pauses = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(path.left)]
    assert max(pauses) < 1500
    assert path.left[-1][0] > 4500
