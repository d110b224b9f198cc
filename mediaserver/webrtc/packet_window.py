"""The RTP packets that wait for the rest of their frame, at a constant cost per packet.

Adjacent packets of one frame form a run. Runs grow and merge as packets arrive. So no search is needed for
the end of a frame or the start of a keyframe. Sequence numbers are unwrapped, and so grow only.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mediaserver.webrtc.codecs import VideoCodec


class MediaPacket(NamedTuple):  # creating a frozen dataclass takes five times as long
    """One RTP packet. ``data`` is its part of the encoded frame, empty for padding.

    ``begins_frame`` and ``keyframe`` are as in `mediaserver.webrtc.codecs.inspect_payload`.
    """

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
    """Packets of one frame without a gap, from ``first`` to ``last`` inclusive.

    A marker (RFC 3550 section 5.1) or data with another timestamp ends a run. Padding belongs to the run
    before it. ``timestamp`` is ``None`` for a run of padding only.
    """

    first: int
    last: int
    timestamp: int | None
    marked: bool
    """Whether the last packet has the marker."""
    keyframe: int | None
    """Sequence number at which a keyframe certainly begins, if any; the first of several."""


class PacketWindow:
    """The packets by sequence number, and their runs."""

    def __init__(self) -> None:
        self._packets: dict[int, MediaPacket] = {}
        self._by_first: dict[int, Run] = {}
        self._by_last: dict[int, Run] = {}
        self._keyframe_starts: list[int] = []
        """A heap. Removed packets are taken out when they reach its top."""
        self._keyframe_packets = 0
        self._changed: tuple[Run | None, ...] = ()

    def __contains__(self, sequence: int) -> bool:
        """Whether the window holds this packet."""
        return sequence in self._packets

    def __len__(self) -> int:
        """Number of packets in the window."""
        return len(self._packets)

    @property
    def has_keyframe_packets(self) -> bool:
        """Whether the window holds a part of a keyframe's start."""
        return self._keyframe_packets > 0

    @property
    def keyframe_start(self) -> int | None:
        """Sequence number at which the first keyframe certainly begins, or ``None``."""
        starts = self._keyframe_starts
        while starts and starts[0] not in self._packets:
            heapq.heappop(starts)
        return starts[0] if starts else None

    def add(self, sequence: int, packet: MediaPacket) -> None:
        """Adds a packet that is not in the window yet."""
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
        # The packet may complete the run before or after it.
        self._changed = (self._by_last.get(run.first - 1), run, self._by_first.get(run.last + 1))

    def whole_frame(self, start: int) -> Run | None:
        """Returns the complete frame that begins at ``start``, or ``None``."""
        run = self._by_first.get(start)
        return run if run is not None and self._has_ended(run) else None

    def padding(self, start: int) -> Run | None:
        """Returns the run of padding only that begins at ``start``, or ``None``."""
        run = self._by_first.get(start)
        return run if run is not None and run.timestamp is None else None

    def new_whole_keyframe(self) -> int | None:
        """Returns the start of a keyframe that the last packet has completed or revealed, or ``None``."""
        starts = [start for run in self._changed if (start := self._whole_keyframe(run)) is not None]
        return min(starts, default=None)

    def take(self, run: Run) -> list[MediaPacket]:
        """Removes and returns the packets of a run."""
        del self._by_first[run.first], self._by_last[run.last]
        return [self._pop(sequence) for sequence in range(run.first, run.last + 1)]

    def drop(self, start: int, stop: int) -> Iterator[MediaPacket]:
        """Removes all packets from ``start`` to before ``stop``, the start of a run or of a keyframe."""
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
        """Merges the adjacent run ``right`` into ``left``."""
        self._by_last.pop(left.last, None)
        self._by_first.pop(right.first, None)
        left.last, left.marked = right.last, right.marked
        if left.keyframe is None:
            left.keyframe = right.keyframe
        return left

    def _has_ended(self, run: Run) -> bool:
        """Whether a run is complete: by its marker, or by a following packet, which is of another frame."""
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
