"""The notices of the Python client about the network: few, and only about facts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum

_WINDOW_S = 3.0
_LATE_FOR_S = 5.0
_NARROW_FOR_S = 8.0
"""The estimate also falls if many packets are late at once, and takes seconds to recover. Then the notice is
about late results."""
_AGAIN_S = 10.0
_LATE_S = 1.0


class NoMediaPath(StrEnum):
    """Why WebRTC does not carry the video, while the socket works."""

    BLOCKED = "UDP is blocked"
    """No connectivity check was answered."""
    UNFINISHED = "WebRTC does not come up"
    """There is a path, but no keys were agreed on over it."""
    REFUSED = "the server gives no media path now"
    """It said so, or did not answer in time."""
    LOST = "video gets no way over UDP any more"
    """There was one."""


class NetworkWords:
    """``tell`` gets a line for people."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._sent: deque[float] = deque()
        self._narrow_since: float | None = None
        self._late_since: float | None = None
        self._told_at = float("-inf")
        self._has_no_path = False

    def sent(self, now: float, *, is_narrow: bool) -> None:
        """A picture was sent; ``is_narrow``: the link has room for fewer or smaller ones than are wanted."""
        self._sent.append(now)
        while now - self._sent[0] > _WINDOW_S:
            self._sent.popleft()
        if not is_narrow:
            self._narrow_since = None
            return
        self._narrow_since = self._narrow_since or now
        if now - self._narrow_since > _NARROW_FOR_S and now - self._told_at > _AGAIN_S:
            self._told_at = now
            rate = max(1, round(len(self._sent) / _WINDOW_S))
            pictures = f"{rate} picture{'s' * (rate != 1)}"
            self._tell(f"your link is too narrow for video: sending {pictures} a second")

    def result(self, now: float, age_s: float) -> None:
        """A result came, so long after its frame was captured."""
        if age_s < _LATE_S:
            self._late_since = None
            return
        self._late_since = self._late_since or now
        if now - self._late_since > _LATE_FOR_S and now - self._told_at > _AGAIN_S:
            self._told_at = now
            self._tell(f"results are late: {age_s:.1f} s behind the picture")

    def no_media_path(self, why: NoMediaPath) -> None:
        """Pictures go over the socket."""
        if not self._has_no_path:
            self._has_no_path = True
            self._tell(f"{why}: sending pictures through the WebSocket, and trying again")

    def webrtc_works(self) -> None:
        """WebRTC has come up."""
        if self._has_no_path:
            self._has_no_path = False
            self._tell("video goes over WebRTC again")
