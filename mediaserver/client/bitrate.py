"""The bitrate of the Python client's video: as much as the server asks for and the link carries.

aiortc has no ``RTCRtpSender.setParameters``, and its encoders go no lower than 250 kbit/s (VP8) or 500
(H.264). Each change of their bitrate by more than a tenth also makes a new encoder, and a keyframe. A
keyframe takes long on a narrow link. So the target moves in large steps, before a frame.
"""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

from aiortc import RTCRtpSender

from mediaserver.webrtc.aiortc_seam.media import SenderSeam

MIN_BITRATE, MAX_BITRATE = 30_000, 1_500_000
_FIRST_BITRATE = 400_000
_LOWER, _HIGHER = 0.9, 1.25
"""How far below or above the target there is room before it moves."""
_HEADROOM = 0.9
"""Of the estimate: for headers, and what is sent again."""
_WINDOW_S = 1.0
_FEWEST_FRAMES = 3
"""In a window. With fewer frames the measured rate may be twice the true rate."""
_PACKET_BITS = 1200 * 8
_REPEATED_SHARE, _MOST_REPEATS = 0.5, 20
_KEYFRAME_BITS, _LONGEST_KEYFRAME_S = 100_000, 2.0
"""What a keyframe takes at most of a link."""


class VideoForm(NamedTuple):
    """What a bitrate has room for."""

    max_framerate: float
    max_width: int
    max_height: int


class _Sent(NamedTuple):
    """Up to then, in all."""

    at: float
    bytes: int
    frames: int


NARROW = 250_000
_FORMS = (
    (50_000, VideoForm(5.0, 160, 120)),
    (90_000, VideoForm(7.0, 240, 180)),
    (150_000, VideoForm(10.0, 320, 240)),
    (NARROW, VideoForm(15.0, 320, 240)),
)


def video_form(bitrate: int) -> VideoForm | None:
    """The size and rate of pictures at ``bitrate``; ``None`` if the bitrate is enough for the server's."""
    return next((form for below, form in _FORMS if bitrate < below), None)


class Bitrate:
    """Of one sender. Raises `mediaserver.webrtc.aiortc_seam.names.SeamMoved`.

    The other side estimates no more than half as much again as it gets. So a low estimate says that the link
    is narrow only where more than that is sent.
    """

    def __init__(self, sender: RTCRtpSender, max_bitrate: int | None = None) -> None:
        self._encoder = SenderSeam(sender, self)
        self._max_bitrate = MAX_BITRATE if max_bitrate is None else max_bitrate
        self._sent: deque[_Sent] = deque()
        self._frames = 0
        self._link_limits = False
        self._repeats, self._repeated_at = float(_MOST_REPEATS), time.monotonic()
        self._keyframe_at = float("-inf")
        self.target = min(_FIRST_BITRATE, self._max_bitrate)

    @property
    def form(self) -> VideoForm | None:
        """What the link has room for; ``None`` where it does not limit the video."""
        return video_form(self.target) if self._link_limits else None

    def limit(self, max_bitrate: int) -> None:
        """Sets the server's limit, in bits per second."""
        before, self._max_bitrate = self._max_bitrate, max(MIN_BITRATE, min(max_bitrate, MAX_BITRATE))
        if self.target > self._max_bitrate or (self.target == before and not self._link_limits):
            self.target = self._max_bitrate

    def sent(self, total_bytes: int, now: float) -> None:
        """So much was sent up to now (seconds of any monotonic clock)."""
        self._sent.append(_Sent(now, total_bytes, self._frames))
        while len(self._sent) > 2 and now - self._sent[1].at >= _WINDOW_S:
            self._sent.popleft()

    def hold(self) -> None:
        """Call before each frame: the encoder is made with the first one."""
        self._frames += 1
        self._encoder.set_bitrate(self.target)

    def take_estimate(self, estimate: int) -> None:
        """Down as soon as there is less room than is used, up when there is much more."""
        room = max(MIN_BITRATE, min(int(estimate * _HEADROOM), self._max_bitrate))
        if room < _LOWER * self.target and room < self._sent_bitrate:
            self.target, self._link_limits = room, True
        elif room > _HIGHER * self.target or room == self._max_bitrate > self.target:
            self.target = room
        if self.target >= min(NARROW, self._max_bitrate):
            self._link_limits = False

    def repeats(self, count: int) -> int:
        """How many of ``count`` packets are sent again: a bounded share of the bitrate.

        On a narrow link more of them would arrive too late, and delay new packets.
        """
        now = time.monotonic()
        self._repeats = min(_MOST_REPEATS, self._repeats + (now - self._repeated_at) * self._repeats_per_s)
        self._repeated_at = now
        admitted = min(count, int(self._repeats))
        self._repeats -= admitted
        return admitted

    def sends_keyframe(self) -> bool:
        """One at a time: the last may still be on its way. The other side asks until one has come."""
        now = time.monotonic()
        wanted = now - self._keyframe_at > min(_KEYFRAME_BITS / self.target, _LONGEST_KEYFRAME_S)
        if wanted:
            self._keyframe_at = now
        return wanted

    @property
    def _repeats_per_s(self) -> float:
        return self.target * _REPEATED_SHARE / _PACKET_BITS

    @property
    def _sent_bitrate(self) -> float:
        """0 where it cannot be told."""
        if len(self._sent) < 2:
            return 0.0
        first, last = self._sent[0], self._sent[-1]
        if last.frames - first.frames < _FEWEST_FRAMES:
            return 0.0
        return (last.bytes - first.bytes) * 8 / (last.at - first.at)
