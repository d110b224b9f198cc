"""Checks whether memory is left for new sessions.

The limits are those of the control group (cgroup v2) and of the process's address space (``ulimit -v``).
"""

from __future__ import annotations

import resource
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_OWN_PAGES = Path("/proc/self/statm")
_ENOUGH = 0.9
"""Share of the limit at which new sessions are refused. The rest is for existing sessions."""
_SAMPLE_S = 1.0


class Memory:
    """Memory of this process and of the control group in ``folder``. ``None`` stands for no control group."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._looked_at = float("-inf")
        self._is_short = False

    @classmethod
    def of_this_process(cls) -> Memory:
        """Uses the control group that systemd or the container has assigned (cgroups(7))."""
        try:
            lines = _OWN_CGROUP.read_text().splitlines()
        except OSError:
            return cls(None)
        own = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
        return cls(_CGROUPS / own[0] if own else None)

    def is_short(self, now: float) -> bool:
        """Whether too little is left for another session, measured once a second. ``now`` is in seconds."""
        if now - self._looked_at >= _SAMPLE_S:
            self._looked_at = now
            self._is_short = self._used() >= _ENOUGH * self._limit() or _is_address_space_short()
        return self._is_short

    def _limit(self) -> float:
        """Bytes at which the kernel throttles the group (``memory.high``), or kills a process of it."""
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


def _is_address_space_short() -> bool:
    """Whether the address space nears ``RLIMIT_AS`` (getrlimit(2)), beyond which allocations fail."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        pages = int(_OWN_PAGES.read_text().split()[0])
    except OSError:  # no /proc
        return False
    return pages * resource.getpagesize() >= _ENOUGH * limit
