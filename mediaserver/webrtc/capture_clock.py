"""Computes capture time and media time of a frame from its RTP timestamp."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, TypeVar

CLOCK_RATE = 90_000
"""RTP clock of every video payload type (RFC 7741 section 6.1, RFC 6184 section 8.2.1)."""

NTP_TO_UNIX_S = 2_208_988_800
"""Seconds from 1900-01-01 to 1970-01-01."""

MAX_SOURCES = 4
"""Sources whose state is kept. Retransmissions (RFC 4588) report under an SSRC of their own."""

KEPT_REPORTS = 8
"""Sender reports kept of one source. Browsers send about one a second."""
MAX_LATE_MS = 1000.0
"""Largest difference of reports of one clock. A larger difference means that the clock was set."""
MAX_AHEAD_MS = 500.0
"""Largest time by which a report may be ahead of the frames, which take time to be encoded and sent."""
MAX_DRIFT = 1e-3
"""Largest relative error of a sender's clock. Crystals are within a tenth of this."""
MAX_DELAY_MS = 2000.0
"""Largest delay of a frame. A later arrival means that the timestamps have started anew."""

Kept = TypeVar("Kept")


def ntp_to_unix_ms(ntp_timestamp: int) -> float:
    """Converts a 64-bit NTP timestamp to Unix milliseconds.

    A clear top bit means the era that begins in 2036 (RFC 4330 section 3).
    """
    seconds = ntp_timestamp >> 32
    if seconds < 1 << 31:
        seconds += 1 << 32
    return (seconds - NTP_TO_UNIX_S) * 1000 + (ntp_timestamp & 0xFFFFFFFF) * 1000 / (1 << 32)


def unix_ms_to_ntp(unix_ms: float) -> int:
    """Converts Unix milliseconds to a 64-bit NTP timestamp, of any era."""
    return round((unix_ms / 1000 + NTP_TO_UNIX_S) * (1 << 32)) & ((1 << 64) - 1)


def rtp_difference(later: int, earlier: int) -> int:
    """Returns the ticks from ``earlier`` to ``later``, 32-bit RTP timestamps that may wrap around."""
    return ((later - earlier + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


class CaptureTime(NamedTuple):
    """Capture time of a frame in Unix milliseconds, on the sender's clock, or this machine's if estimated."""

    unix_ms: float
    estimated: bool


class CaptureClock:
    """Maps RTP timestamps to capture times.

    With sender reports: capture time = NTP time of a report + RTP ticks since the report. It is on the
    sender's clock (RFC 3550 section 6.4.1). Without reports the time is estimated from arrivals, on this
    machine's clock.

    Among the last reports, the report that gives the earliest time is used. aiortc as a sender puts the time
    of sending into its reports, which under load is long after the capture. If a sender sets its clock, its
    next report takes effect. Each source has its own reports, so a restarted source does not use earlier
    ones.

    Reports that are ahead of the frames are ignored. GStreamer's webrtcbin 1.22 may send such reports: their
    timestamps run at twice the rate of its clock.
    """

    def __init__(self) -> None:
        self._reports: dict[int, deque[_Report]] = {}
        self._arrivals: dict[int, _Arrivals] = {}

    def report(self, ssrc: int, ntp_timestamp: int, rtp_timestamp: int, arrived_ms: float) -> None:
        """Takes a sender report: a 64-bit NTP and a 32-bit RTP timestamp of one instant.

        ``arrived_ms`` is in Unix milliseconds of this machine.
        """
        if ntp_timestamp == 0:
            return  # RFC 3550 section 6.4.1: the sender has no clock, or has sent nothing yet
        arrivals = self._arrivals.get(ssrc)
        if arrivals is not None and arrivals.unix_ms(rtp_timestamp) - arrived_ms >= MAX_AHEAD_MS:
            self._reports.pop(ssrc, None)
            return
        newest = _Report(ntp_to_unix_ms(ntp_timestamp), rtp_timestamp)
        reports = self._reports.get(ssrc) or deque(maxlen=KEPT_REPORTS)
        if any(abs(newest.unix_ms - each.date(rtp_timestamp)) > MAX_LATE_MS for each in reports):
            reports.clear()
        reports.append(newest)
        _keep(self._reports, ssrc, reports)

    def capture_time(self, ssrc: int, rtp_timestamp: int, arrived_ms: float) -> CaptureTime:
        """Returns the capture time of a frame. ``arrived_ms`` is in Unix milliseconds of this machine."""
        arrivals = self._arrivals.get(ssrc) or _Arrivals(rtp_timestamp, arrived_ms)
        _keep(self._arrivals, ssrc, arrivals)
        estimate = arrivals.add(rtp_timestamp, arrived_ms)
        reports = self._reports.get(ssrc)
        if reports is None:
            return CaptureTime(estimate, estimated=True)
        return CaptureTime(min(report.date(rtp_timestamp) for report in reports), estimated=False)


class _Report(NamedTuple):
    """A sender report: two times of one instant."""

    unix_ms: float
    rtp_timestamp: int

    def date(self, rtp_timestamp: int) -> float:
        """Converts an RTP timestamp to Unix milliseconds of the sender's clock."""
        return self.unix_ms + _ticks_to_ms(rtp_difference(rtp_timestamp, self.rtp_timestamp))


class _Arrivals:
    """Estimates when the frames of one source would have arrived without variable delays."""

    def __init__(self, rtp_timestamp: int, arrived_ms: float) -> None:
        self._rtp_timestamp = rtp_timestamp
        self._unix_ms = arrived_ms

    def unix_ms(self, rtp_timestamp: int) -> float:
        """Converts an RTP timestamp to Unix milliseconds of this machine."""
        return self._unix_ms + _ticks_to_ms(rtp_difference(rtp_timestamp, self._rtp_timestamp))

    def add(self, rtp_timestamp: int, arrived_ms: float) -> float:
        """Adds a frame, and returns its estimated time in Unix milliseconds.

        An early frame shows that earlier frames were delayed, and corrects the estimate. A late frame was
        delayed, or the sender's clock is slow, or its timestamps have started anew.
        """
        expected = self.unix_ms(rtp_timestamp)
        drifted = expected + MAX_DRIFT * abs(expected - self._unix_ms)
        self._unix_ms = arrived_ms if arrived_ms - drifted > MAX_DELAY_MS else min(arrived_ms, drifted)
        self._rtp_timestamp = rtp_timestamp
        return self._unix_ms


class MediaTime:
    """Unwraps RTP timestamps to milliseconds since the first frame.

    A new source has timestamps that begin anywhere. The time between the two arrivals bridges the gap.
    """

    def __init__(self) -> None:
        self._ssrc: int | None = None
        self._timestamp = 0
        self._arrived = 0.0
        self._ms = 0.0

    def pts_ms(self, ssrc: int, rtp_timestamp: int, arrived: float) -> float:
        """Returns milliseconds since the first frame. ``arrived`` is in seconds of any monotonic clock."""
        if ssrc == self._ssrc:
            self._ms += _ticks_to_ms(rtp_difference(rtp_timestamp, self._timestamp))
        elif self._ssrc is not None:
            self._ms += (arrived - self._arrived) * 1000
        self._ssrc = ssrc
        self._timestamp = rtp_timestamp
        self._arrived = arrived
        return self._ms


def _ticks_to_ms(ticks: int) -> float:
    return ticks * 1000 / CLOCK_RATE


def _keep(by_source: dict[int, Kept], ssrc: int, value: Kept) -> None:
    """Stores a value of a source, and drops the oldest source beyond `MAX_SOURCES`."""
    by_source.pop(ssrc, None)
    by_source[ssrc] = value
    if len(by_source) > MAX_SOURCES:
        del by_source[next(iter(by_source))]
