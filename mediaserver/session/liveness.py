"""Decides when a silent connection is dead, or paused. Pure: time is passed in, in `time.monotonic` seconds.

aioice takes about 30 s to notice a dead peer, which is too long to keep the peer's resources.
"""

from __future__ import annotations

from signaling.messages import EndReason

_CHECKS_IN_TIMEOUT = 4
"""Parts of ``media_timeout_s``. After one part without media the sender is checked, so a retry has time."""


class Liveness:
    """Judges one connection by the time of its last media. Pings judge the socket itself.

    The first media must come within ``no_media_timeout_s``, also after each new offer. Then media may pause
    for ``media_timeout_s``. While the sender still answers, media may pause for ``pause_timeout_s``. Its
    camera may be off, or nothing may move on its canvas.
    """

    def __init__(
        self, now: float, *, media_timeout_s: float, no_media_timeout_s: float, pause_timeout_s: float
    ) -> None:
        self._media_timeout_s = media_timeout_s
        self._no_media_timeout_s = no_media_timeout_s
        self._pause_timeout_s = pause_timeout_s
        self._waiting_since = now
        self._media_at: float | None = None
        self._sender_at = now

    def expect_media(self, now: float) -> None:
        """Begins to wait for the media of a new peer connection. Earlier media no longer counts."""
        self._waiting_since = now
        self._media_at = None

    def heard_media(self, at: float) -> None:
        """Records a media packet or a JPEG frame. Either keeps the connection alive."""
        self._media_at = at if self._media_at is None else max(at, self._media_at)
        self.heard_sender(at)

    def heard_sender(self, at: float) -> None:
        """Records that the sender of media answered at ``at``, with or without media."""
        self._sender_at = max(at, self._sender_at)

    def stood_still(self, seconds: float) -> None:
        """Excludes ``seconds`` in which this process did not run, stopped or starved.

        Media that came meanwhile has not been read yet.
        """
        self._waiting_since += seconds
        self._sender_at += seconds
        if self._media_at is not None:
            self._media_at += seconds

    def is_sender_wanted(self, now: float) -> bool:
        """Whether media has stopped, so that the sender must be checked."""
        quiet_s = self._media_timeout_s / _CHECKS_IN_TIMEOUT
        return self._media_at is not None and now - self._sender_at > quiet_s

    def is_paused(self, now: float) -> bool:
        """Whether media has stopped, but the sender answers."""
        if self._media_at is None or now - self._media_at <= self._media_timeout_s:
            return False
        return self._sender_at > self._media_at

    def verdict(self, now: float) -> EndReason | None:
        """Returns the reason to end the connection now, or ``None``."""
        if self._media_at is None:
            return EndReason.NO_MEDIA if now - self._waiting_since > self._no_media_timeout_s else None
        if now - self._sender_at > self._media_timeout_s:
            return EndReason.MEDIA_TIMEOUT
        return EndReason.PAUSE_TIMEOUT if now - self._media_at > self._pause_timeout_s else None
