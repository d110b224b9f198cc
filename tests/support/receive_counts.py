"""Counts what a `VideoReceiver` tells of the way of its frames."""

from __future__ import annotations

from collections import Counter

from mediaserver.webrtc.frame_drops import DropReason


class ReceiveCounts:
    """A `mediaserver.webrtc.receiver.ReceiveObserver`."""

    def __init__(self) -> None:
        self.dropped: Counter[DropReason] = Counter()
        self.nacks = 0
        self.plis = 0
        self.faults = 0
        self.memory_errors = 0

    def frames_dropped(self, reason: DropReason, count: int) -> None:
        self.dropped[reason] += count

    def packets_requested(self, count: int) -> None:
        self.nacks += count

    def keyframe_requested(self) -> None:
        self.plis += 1

    def memory_ran_out(self) -> None:
        self.memory_errors += 1

    def fault_contained(self) -> None:
        self.faults += 1
