"""The counters of the Python client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ClientStats:
    """Counters since the client was made."""

    frames_sent: int = 0
    """Frames that were sent."""
    frames_skipped: int = 0
    """Frames of the clip that were not sent: late, or above the server's frame rate limit."""
    results: int = 0
    """Results that arrived in order."""
    results_dropped: int = 0
    """Results that were dropped because 64 newer results waited for the caller."""
    results_late: int = 0
    """Results that were dropped because a newer result arrived first."""
    reconnects: int = 0
    """Connections after the first."""
    damaged: int = 0
    """Packets of the clip that could not be decoded."""
    slowed_s: float = 0.0
    """Seconds that playing took longer than the clip, because decoding was slower than real time."""
