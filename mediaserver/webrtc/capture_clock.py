"""When a frame was captured, and where it stands in the stream, from its RTP timestamp."""

from __future__ import annotations

CLOCK_RATE = 90_000
"""RTP clock of every video payload type (RFC 7741 section 6.1, RFC 6184 section 8.2.1)."""

NTP_TO_UNIX_S = 2_208_988_800
"""From 1900-01-01 to 1970-01-01."""

MAX_SOURCES = 4
"""Sources whose last report is kept. Retransmissions (RFC 4588) report under an SSRC of their own."""


def ntp_to_unix_ms(ntp_timestamp: int) -> float:
    """Unix milliseconds of a 64-bit NTP timestamp. A clear top bit means the era that begins in 2036
    (RFC 4330 section 3)."""
    seconds = ntp_timestamp >> 32
    if seconds < 1 << 31:
        seconds += 1 << 32
    return (seconds - NTP_TO_UNIX_S) * 1000 + (ntp_timestamp & 0xFFFFFFFF) * 1000 / (1 << 32)


def rtp_difference(later: int, earlier: int) -> int:
    """Ticks from one 32-bit RTP timestamp to another, negative if it is before it; right over a wrap."""
    return ((later - earlier + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


class CaptureClock:
    """Maps RTP timestamps to the sender's wall clock: capture = NTP of the last sender report plus the RTP
    ticks since it (RFC 3550 section 6.4.1).

    The newest report always counts, so a sender that sets its clock is followed at its next report, and
    each source has its own, so a source that restarts never gets times of the one before.
    """

    def __init__(self) -> None:
        self._reports: dict[int, tuple[float, int]] = {}

    def report(self, ssrc: int, ntp_timestamp: int, rtp_timestamp: int) -> None:
        """Takes a sender report: a 64-bit NTP and a 32-bit RTP timestamp of one instant."""
        if ntp_timestamp == 0:
            return  # RFC 3550 section 6.4.1: the sender has no clock, or has sent nothing yet
        self._reports.pop(ssrc, None)
        self._reports[ssrc] = ntp_to_unix_ms(ntp_timestamp), rtp_timestamp
        if len(self._reports) > MAX_SOURCES:
            del self._reports[next(iter(self._reports))]

    def capture_time_ms(self, ssrc: int, rtp_timestamp: int) -> float | None:
        """Unix milliseconds in the sender's clock; ``None`` before the source's first report."""
        report = self._reports.get(ssrc)
        if report is None:
            return None
        unix_ms, reported = report
        return unix_ms + rtp_difference(rtp_timestamp, reported) * 1000 / CLOCK_RATE


class MediaTime:
    """Unwraps RTP timestamps to milliseconds since the first frame. At a new source, whose timestamps
    begin anywhere, the time between the two arrivals bridges the gap."""

    def __init__(self) -> None:
        self._ssrc: int | None = None
        self._timestamp = 0
        self._arrived = 0.0
        self._ms = 0.0

    def pts_ms(self, ssrc: int, rtp_timestamp: int, arrived: float) -> float:
        """Milliseconds since the first frame; ``arrived`` in seconds of any monotonic clock."""
        if ssrc == self._ssrc:
            self._ms += rtp_difference(rtp_timestamp, self._timestamp) * 1000 / CLOCK_RATE
        elif self._ssrc is not None:
            self._ms += (arrived - self._arrived) * 1000
        self._ssrc = ssrc
        self._timestamp = rtp_timestamp
        self._arrived = arrived
        return self._ms
