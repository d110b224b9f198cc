"""Assembles RTP packets to encoded frames, and computes NACKs and keyframe requests. Pure: no I/O, no clock.

Times are seconds of a monotonic clock, passed in by the caller. The marker (RFC 3550 section 5.1) ends a
frame. A complete frame leaves when all earlier frames have left or were given up. Lost packets are requested
again while a retransmission can still be useful. After that, all frames up to the gap are given up. The next
frame to leave is then a keyframe, so the decoder gets no frame with a missing part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mediaserver.webrtc.codecs import VideoCodec
from mediaserver.webrtc.packet_window import MediaPacket, PacketWindow

MAX_WINDOW = 512
"""Packets at most from the oldest awaited packet to the newest, which bounds the memory."""

MAX_GAP = 64
"""A longer run of losses is given up at once, as its repair would bring a burst of stale frames."""

MAX_LOSSES = 128
"""Losses at most; more are given up at once. It also bounds the cost of a poll."""

FIRST_RTT = 0.05
MIN_NACK_INTERVAL = 0.02
NACK_INTERVAL_RTTS = 1.25

KEYFRAME_PATIENCE = 3
"""Factor of the repair time for a gap in an awaited keyframe.

No other frame could be shown meanwhile, and the next keyframe is as likely to have a gap.
"""


class EncodedFrame(NamedTuple):
    """A complete frame for the decoder.

    ``timestamp`` is the raw RTP timestamp, 90 kHz. ``arrived`` is the arrival of its last packet.
    """

    ssrc: int
    timestamp: int
    codec: VideoCodec
    keyframe: bool
    data: bytes
    arrived: float


@dataclass(frozen=True, slots=True)
class Feedback:
    """The actions that are due now.

    ``frames`` can leave as a gap was given up. ``nack`` are 16-bit sequence numbers to request, ascending
    (RFC 4585 section 6.2.1). ``request_keyframe`` asks for a PLI (section 6.3.1).
    """

    frames: list[EncodedFrame]
    nack: list[int]
    request_keyframe: bool


@dataclass(slots=True)
class _Loss:
    noticed: float
    asked: float = 0.0
    times_asked: int = 0


class FrameAssembler:
    """Assembles the frames of one source.

    ``max_wait`` is the time in seconds for which a gap may delay frames. ``keyframe_interval`` is the least
    time in seconds between two keyframe requests. ``on_drop`` is called with the number of frames that were
    given up although packets of them arrived.
    """

    def __init__(
        self, on_drop: Callable[[int], None], *, max_wait: float = 0.15, keyframe_interval: float = 0.25
    ) -> None:
        self._on_drop = on_drop
        self.max_wait = max_wait
        self.keyframe_interval = keyframe_interval
        self.ssrc: int | None = None
        self.rtt = FIRST_RTT
        self._awaiting_keyframe = True
        self._keyframe_demanded = False
        self._asked_keyframe = float("-inf")
        self._packet_since_asked = False
        self._last_dropped: int | None = None
        self._window = PacketWindow()
        # Unwrapped, and in ascending order.
        self._losses: dict[int, _Loss] = {}
        self._losses_due = 0.0
        """Earliest time of an action for a loss."""
        self._next: int | None = None
        self._highest = 0

    def add(self, packet: MediaPacket) -> list[EncodedFrame]:
        """Takes a packet; returns the frames that it completes, oldest first."""
        now = packet.arrived
        if packet.ssrc != self.ssrc:
            self.resync()
            self.ssrc = packet.ssrc
            self.rtt = FIRST_RTT
        self._packet_since_asked = True
        sequence = self._unwrap(packet.sequence_number)
        if self._next is not None and self._is_too_far(sequence, self._next):
            self.resync()
        if self._next is None:
            self._next = sequence
            self._highest = sequence - 1
        if sequence < self._next or sequence in self._window:
            return []
        self._window.add(sequence, packet)
        if sequence > self._highest + 1:
            self._losses_due = min(self._losses_due, now) if self._losses else now
            for missing in range(self._highest + 1, sequence):
                self._losses[missing] = _Loss(noticed=now)
        self._highest = max(self._highest, sequence)
        before = self.rtt, self._keyframe_is_coming()
        self._learn_rtt(self._losses.pop(sequence, None), now)
        frames = self._collect(self._next)
        if (self.rtt, self._keyframe_is_coming()) != before:  # what the times depend on
            self._losses_due = self._next_loss_due()
        return frames

    def resync(self) -> None:
        """Gives up all pending packets and the numbering, and continues at the next keyframe."""
        if self._next is not None:
            self._drop_below(self._highest + 1)
        self._next = None
        self._awaiting_keyframe = True

    def demand_keyframe(self) -> None:
        """Makes a keyframe request due, without dropping frames."""
        self._keyframe_demanded = True

    @property
    def due(self) -> float | None:
        """Time of the next useful call of `poll`; ``None`` while nothing is missing."""
        times: list[float] = []
        if self._losses:
            times.append(self._losses_due)
        if self._wants_keyframe():
            times.append(self._asked_keyframe + self.keyframe_interval)
        return min(times, default=None)

    def poll(self, now: float) -> Feedback:
        """Returns the actions due at ``now``, and takes them as done."""
        frames: list[EncodedFrame] = []
        wait = self._wait()
        stale = [s for s, loss in self._losses.items() if now >= loss.noticed + wait]
        if stale:
            self._drop_below(after := max(stale) + 1)
            self._awaiting_keyframe = True
            frames = self._collect(after)

        nack = []
        for sequence, loss in self._losses.items():
            at = self._nack_at(loss, wait)
            if at is not None and now >= at:
                loss.asked = now
                loss.times_asked += 1
                nack.append(sequence & 0xFFFF)
        self._losses_due = self._next_loss_due()

        request = self._wants_keyframe() and now >= self._asked_keyframe + self.keyframe_interval
        if request:
            self._asked_keyframe = now
            self._packet_since_asked = False
            self._keyframe_demanded = False
        return Feedback(frames, sorted(nack), request)

    def _is_too_far(self, sequence: int, following: int) -> bool:
        """Whether a packet comes after too large a gap, or is too far from the next awaited packet."""
        gap = sequence - self._highest - 1
        return (
            gap >= MAX_GAP
            or max(gap, 0) + len(self._losses) > MAX_LOSSES
            or abs(sequence - following) >= MAX_WINDOW
        )

    def _next_loss_due(self) -> float:
        wait = self._wait()
        times = [
            loss.noticed + wait if (nack_at := self._nack_at(loss, wait)) is None else nack_at
            for loss in self._losses.values()
        ]
        return min(times, default=0.0)

    def _unwrap(self, sequence_number: int) -> int:
        return self._highest + ((sequence_number - self._highest + 0x8000) & 0xFFFF) - 0x8000

    def _learn_rtt(self, loss: _Loss | None, now: float) -> None:
        # Only packets requested once count, as otherwise the answered request is unknown (Karn's algorithm).
        if loss is not None and loss.times_asked == 1:
            self.rtt += (now - loss.asked - self.rtt) / 8

    def _wait(self) -> float:
        return self.max_wait * (KEYFRAME_PATIENCE if self._keyframe_is_coming() else 1)

    def _nack_at(self, loss: _Loss, wait: float) -> float | None:
        if not loss.times_asked:
            return loss.noticed
        at = loss.asked + max(MIN_NACK_INTERVAL, NACK_INTERVAL_RTTS * self.rtt)
        return at if at + self.rtt < loss.noticed + wait else None

    def _wants_keyframe(self) -> bool:
        # Without new packets the sender is paused or gone, and another request is useless.
        if not self._packet_since_asked:
            return False
        if self._keyframe_demanded:
            return True
        # While a keyframe is arriving, a request would only cause a second one.
        return self._awaiting_keyframe and not self._keyframe_is_coming()

    def _keyframe_is_coming(self) -> bool:
        return self._awaiting_keyframe and self._window.has_keyframe_packets

    def _collect(self, start: int) -> list[EncodedFrame]:
        """Takes out all frames that can leave. The next frame should begin at ``start``."""
        frames = []
        while True:
            if (padding := self._window.padding(start)) is not None:
                self._window.take(padding)
                start = padding.last + 1
            elif (run := self._window.whole_frame(start)) is not None:
                frame = self._join(self._window.take(run))
                self._awaiting_keyframe &= not frame.keyframe
                if self._awaiting_keyframe:
                    self._count_drop(frame.timestamp)
                else:
                    frames.append(frame)
                start = run.last + 1
            elif (keyframe := self._keyframe_behind_a_hole()) is not None:
                self._drop_below(keyframe)
                start = keyframe
            else:
                break
        self._drop_below(start)
        if self._awaiting_keyframe:
            self._forget_undecodable()
        return frames

    def _keyframe_behind_a_hole(self) -> int | None:
        """Returns the start of a keyframe after a gap that has just become complete.

        It makes the gap irrelevant.
        """
        if not (self._losses or self._awaiting_keyframe):
            return None
        return self._window.new_whole_keyframe()

    def _forget_undecodable(self) -> None:
        """Drops packets that cannot become a keyframe.

        Packets are kept from the first packet of a keyframe on. If there is none, they are kept from the
        first gap on, where that packet may be missing.
        """
        start = self._window.keyframe_start
        if start is None:
            start = next(iter(self._losses), self._highest + 1)
        self._drop_below(start)

    def _drop_below(self, sequence: int) -> None:
        """Gives up all packets before ``sequence``, where the next frame begins."""
        assert self._next is not None
        for packet in self._window.drop(self._next, sequence):
            if packet.data:
                self._count_drop(packet.timestamp)
        while self._losses and (oldest := next(iter(self._losses))) < sequence:
            del self._losses[oldest]
        self._next = sequence

    def _count_drop(self, timestamp: int) -> None:
        """Counts a frame once, however many of its packets are dropped."""
        if timestamp != self._last_dropped:
            self._last_dropped = timestamp
            self._on_drop(1)

    @staticmethod
    def _join(packets: list[MediaPacket]) -> EncodedFrame:
        first = packets[0]
        return EncodedFrame(
            ssrc=first.ssrc,
            timestamp=first.timestamp,
            codec=first.codec,
            keyframe=any(packet.keyframe for packet in packets),
            data=b"".join(packet.data for packet in packets),
            arrived=max(packet.arrived for packet in packets),
        )
