"""Whether the control group (cgroup v2) of this process has memory left for new sessions."""

from __future__ import annotations

from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_ENOUGH = 0.9
"""Of the limit. The sessions that live go on, and need what is left."""
_SAMPLE_S = 1.0


class Memory:
    """The memory of the control group in ``folder``; without one there is no limit to come near to."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._looked_at = float("-inf")
        self._is_short = False

    @classmethod
    def of_this_process(cls) -> Memory:
        """The group that systemd, or the container, has put it into (cgroups(7))."""
        try:
            lines = _OWN_CGROUP.read_text().splitlines()
        except OSError:
            return cls(None)
        own = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
        return cls(_CGROUPS / own[0] if own else None)

    def is_short(self, now: float) -> bool:
        """Whether too little is left for another session, at most a second ago. ``now`` in seconds."""
        if now - self._looked_at >= _SAMPLE_S:
            self._looked_at = now
            self._is_short = self._used() >= _ENOUGH * self._limit()
        return self._is_short

    def _limit(self) -> float:
        """Bytes from which the kernel slows the group down (``memory.high``), or kills in it."""
        return min(self._number("memory.high"), self._number("memory.max"))

    def _used(self) -> float:
        """Bytes in use, without the pages of files that the kernel can drop."""
        droppable = 0.0
        for line in self._text("memory.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                droppable = float(value)
        current = self._text("memory.current")
        return float(current) - droppable if current else 0.0

    def _number(self, file: str) -> float:
        text = self._text(file).strip()
        return float(text) if text.isdecimal() else float("inf")

    def _text(self, file: str) -> str:
        try:
            return (self._folder / file).read_text() if self._folder else ""
        except OSError:
            return ""
