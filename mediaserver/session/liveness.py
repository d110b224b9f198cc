"""When a connection that fell silent is taken for dead. Pure: time is passed in, `time.monotonic` seconds.

aioice takes about 30 s to notice a dead peer; that is too long to hold on to what it used.
"""

from __future__ import annotations

from signaling.messages import EndReason


class Liveness:
    """Judges one connection by what was last heard of it.

    The socket's own silence is noticed by its pings; this is about media. Before the first frame, and after
    each new offer, media has ``no_media_timeout_s`` to come; then it may pause for ``media_timeout_s``.
    """

    def __init__(self, now: float, *, media_timeout_s: float, no_media_timeout_s: float) -> None:
        self._media_timeout_s = media_timeout_s
        self._no_media_timeout_s = no_media_timeout_s
        self._waiting_since = now
        self._media_at: float | None = None

    def expect_media(self, now: float) -> None:
        """A new peer connection begins; what the one before sent says nothing about it."""
        self._waiting_since = now
        self._media_at = None

    def heard_media(self, at: float) -> None:
        """A media packet or a JPEG frame came at ``at``; either keeps a connection alive on which the other
        fell silent."""
        self._media_at = at if self._media_at is None else max(at, self._media_at)

    def verdict(self, now: float) -> EndReason | None:
        """Why the connection should end now, or ``None``."""
        if self._media_at is None:
            return EndReason.NO_MEDIA if now - self._waiting_since > self._no_media_timeout_s else None
        return EndReason.MEDIA_TIMEOUT if now - self._media_at > self._media_timeout_s else None
