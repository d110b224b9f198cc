"""A packet costs about the same, whatever it says: who sends little cannot make the server work much."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from mediaserver.webrtc.frame_assembler import MAX_GAP, MAX_WINDOW
from mediaserver.webrtc.packet_window import MediaPacket
from mediaserver.webrtc.receiver import FEEDBACK_INTERVAL
from tests.support.rtp_packets import Sender, started

COUNT = 4 * MAX_WINDOW
RATE = 1000
"""Packets a second."""


def ordinary(sender: Sender) -> Iterator[MediaPacket]:
    while True:
        yield from sender.frame(size=4)


def starts_without_end(sender: Sender) -> Iterator[MediaPacket]:
    while True:
        yield sender.packet(0.0, begins_frame=True, keyframe=True)


def starts_without_end_behind_a_hole(sender: Sender) -> Iterator[MediaPacket]:
    sender.sequence += 1
    yield from starts_without_end(sender)


def starts_and_holes_in_turn(sender: Sender) -> Iterator[MediaPacket]:
    while True:
        yield sender.packet(0.0, begins_frame=True, keyframe=True)
        sender.sequence += 1


def one_timestamp_for_ever(sender: Sender) -> Iterator[MediaPacket]:
    while True:
        yield sender.packet(0.0)


def nothing_but_padding(sender: Sender) -> Iterator[MediaPacket]:
    while True:
        yield sender.packet(0.0, data=b"")


def sources_in_turn(sender: Sender) -> Iterator[MediaPacket]:
    while True:
        sender.ssrc = 3 - sender.ssrc
        yield sender.packet(0.0, begins_frame=True, keyframe=True)


def the_longest_gaps(sender: Sender) -> Iterator[MediaPacket]:
    while True:
        sender.sequence += MAX_GAP - 1
        yield sender.packet(0.0, begins_frame=True, keyframe=True)


def backwards(sender: Sender) -> Iterator[MediaPacket]:
    while True:
        sender.sequence += 2 * MAX_GAP
        for _ in range(MAX_GAP):
            sender.sequence -= 2
            yield sender.packet(0.0, begins_frame=True, keyframe=True)


def seconds(packets: Callable[[Sender], Iterator[MediaPacket]]) -> float:
    """Of processor time for `COUNT` of them, looked after as `VideoReceiver` does it; the least of three."""
    spent = []
    for _ in range(3):
        sender = Sender()
        assembler = started(sender)
        made = itertools.islice(packets(sender), COUNT)
        recorded = [each._replace(arrived=2.0 + number / RATE) for number, each in enumerate(made)]
        polled = 0.0
        began = time.process_time()
        for each in recorded:
            assembler.add(each)
            due = assembler.due
            if due is not None and due <= each.arrived >= polled + FEEDBACK_INTERVAL:
                polled = each.arrived
                assembler.poll(polled)
        spent.append(time.process_time() - began)
    return min(spent)


@pytest.mark.parametrize(
    "packets",
    [
        starts_without_end,
        starts_without_end_behind_a_hole,
        starts_and_holes_in_turn,
        one_timestamp_for_ever,
        nothing_but_padding,
        sources_in_turn,
        the_longest_gaps,
        backwards,
    ],
)
def test_no_packet_costs_much_more_than_an_ordinary_one(
    packets: Callable[[Sender], Iterator[MediaPacket]],
) -> None:
    assert seconds(packets) < 20 * seconds(ordinary)
