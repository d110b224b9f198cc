"""The RTP packets that wait for their frame to be whole, kept so that each costs the same whatever it says.

Neighbours that belong to one frame form a run. Runs grow and join as packets come, so nothing is ever looked
through again for where a frame ends or a keyframe begins. Sequence numbers are unwrapped: they only grow.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mediaserver.webrtc.codecs import VideoCodec


class MediaPacket(NamedTuple):  # one for each packet: a frozen dataclass takes five times as long to make
    """One RTP packet. ``payload`` as on the wire; ``data`` what it adds to the encoded frame (empty for
    padding). ``begins_frame``: certainly its frame's first; ``keyframe``: part of a keyframe's start."""

    ssrc: int
    sequence_number: int
    timestamp: int
    marker: bool
    codec: VideoCodec
    data: bytes
    arrived: float
    begins_frame: bool
    keyframe: bool


@dataclass(eq=False, slots=True)
class Run:
    """Packets without a hole between them that are of one frame, ``first`` and ``last`` included.

    A marker (RFC 3550 section 5.1) or data with another timestamp ends it. Padding belongs to the run before
    it; ``timestamp`` is ``None`` for a run of nothing else.
    """

    first: int
    last: int
    timestamp: int | None
    marked: bool
    """Whether its last packet has the marker."""
    keyframe: int | None
    """Where a keyframe certainly begins in it: the first such place."""


class PacketWindow:
    """The packets by sequence number, and their runs."""

    def __init__(self) -> None:
        self._packets: dict[int, MediaPacket] = {}
        self._by_first: dict[int, Run] = {}
        self._by_last: dict[int, Run] = {}
        self._keyframe_starts: list[int] = []
        """A heap; those that are gone are taken out when they come to its top."""
        self._keyframe_packets = 0
        self._changed: tuple[Run | None, ...] = ()

    def __contains__(self, sequence: int) -> bool:
        """Whether that packet is here."""
        return sequence in self._packets

    def __len__(self) -> int:
        """How many packets are here."""
        return len(self._packets)

    @property
    def has_keyframe_packets(self) -> bool:
        """Whether a part of a keyframe's start is here."""
        return self._keyframe_packets > 0

    @property
    def keyframe_start(self) -> int | None:
        """Where the first keyframe certainly begins."""
        starts = self._keyframe_starts
        while starts and starts[0] not in self._packets:
            heapq.heappop(starts)
        return starts[0] if starts else None

    def add(self, sequence: int, packet: MediaPacket) -> None:
        """Takes in a packet that is not here yet."""
        self._packets[sequence] = packet
        self._keyframe_packets += packet.keyframe
        begins_keyframe = packet.keyframe and packet.begins_frame
        if begins_keyframe:
            heapq.heappush(self._keyframe_starts, sequence)
        timestamp = packet.timestamp if packet.data else None
        run = Run(sequence, sequence, timestamp, packet.marker, sequence if begins_keyframe else None)
        left = self._by_last.get(sequence - 1)
        if left is not None and not left.marked and (timestamp is None or timestamp == left.timestamp):
            run = self._joined(left, run)
        while (
            not run.marked
            and (right := self._by_first.get(run.last + 1)) is not None
            and right.timestamp in (None, run.timestamp)
        ):
            run = self._joined(run, right)
        self._by_first[run.first] = self._by_last[run.last] = run
        # The run before may have found its end, the one behind it its beginning.
        self._changed = (self._by_last.get(run.first - 1), run, self._by_first.get(run.last + 1))

    def whole_frame(self, start: int) -> Run | None:
        """The frame that begins at ``start``, or ``None`` while a packet of it is still to come."""
        run = self._by_first.get(start)
        return run if run is not None and self._has_ended(run) else None

    def padding(self, start: int) -> Run | None:
        """The run of nothing but padding that begins at ``start``."""
        run = self._by_first.get(start)
        return run if run is not None and run.timestamp is None else None

    def new_whole_keyframe(self) -> int | None:
        """Where a whole keyframe begins that the packet added last has made whole, or known for one."""
        starts = [start for run in self._changed if (start := self._whole_keyframe(run)) is not None]
        return min(starts, default=None)

    def take(self, run: Run) -> list[MediaPacket]:
        """Takes out the packets of a run."""
        del self._by_first[run.first], self._by_last[run.last]
        return [self._pop(sequence) for sequence in range(run.first, run.last + 1)]

    def drop(self, start: int, stop: int) -> Iterator[MediaPacket]:
        """Takes out all packets from ``start`` to before ``stop``, which is where a run begins, or a keyframe
        in one."""
        sequence = start
        while sequence < stop:
            run = self._by_first.get(sequence)
            if run is None:
                sequence += 1
                continue
            if run.last < stop:
                yield from self.take(run)
                sequence = run.last + 1
                continue
            del self._by_first[run.first]
            run.first = stop
            self._by_first[stop] = run
            yield from (self._pop(dropped) for dropped in range(sequence, stop))
            return

    def _joined(self, left: Run, right: Run) -> Run:
        """``left`` grown by ``right``, which is its neighbour."""
        self._by_last.pop(left.last, None)
        self._by_first.pop(right.first, None)
        left.last, left.marked = right.last, right.marked
        if left.keyframe is None:
            left.keyframe = right.keyframe
        return left

    def _has_ended(self, run: Run) -> bool:
        """A packet right behind a run is of another frame: a sender that sets no marker ends frames so."""
        return run.marked or run.last + 1 in self._packets

    def _whole_keyframe(self, run: Run | None) -> int | None:
        if run is None or self._by_first.get(run.first) is not run or not self._has_ended(run):
            return None
        if run.keyframe is not None:
            return run.keyframe
        first, before = self._packets[run.first], self._packets.get(run.first - 1)
        begins = before is not None and before.timestamp != first.timestamp
        return run.first if first.keyframe and begins else None

    def _pop(self, sequence: int) -> MediaPacket:
        packet = self._packets.pop(sequence)
        self._keyframe_packets -= packet.keyframe
        return packet
