"""When the frames of a track were captured, by their RTP time: for sender reports."""

from __future__ import annotations

from collections import OrderedDict

from aiortc.mediastreams import VIDEO_TIME_BASE, convert_timebase
from av import VideoFrame

from mediaserver.webrtc.capture_clock import unix_ms_to_ntp

_KEPT = 16
"""Frames are encoded one at a time, so a report is about one of the last two frames."""


class CaptureDates:
    """Remembers the last frames."""

    def __init__(self) -> None:
        self._ntp_by_ticks: OrderedDict[int, int] = OrderedDict()

    def captured(self, frame: VideoFrame, unix_ms: float) -> None:
        """``frame`` is about to be encoded."""
        assert frame.pts is not None
        assert frame.time_base is not None
        ticks = convert_timebase(frame.pts, frame.time_base, VIDEO_TIME_BASE)
        self._ntp_by_ticks[ticks] = unix_ms_to_ntp(unix_ms)
        if len(self._ntp_by_ticks) > _KEPT:
            self._ntp_by_ticks.popitem(last=False)

    def ntp_timestamp(self, ticks: int) -> int | None:
        """As RFC 3550 section 4 has it; ``None`` for a frame that is not remembered."""
        return self._ntp_by_ticks.get(ticks)
