"""The number of file descriptors that this process has left. Each session takes about ten."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_OPEN = Path("/proc/self/fd")
_SPARE = 64
"""Descriptors reserved for existing sessions and for refusals."""


def descriptors_left() -> int | None:
    """Returns the number of free file descriptors, or ``None`` if unknown."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        return limit - len(os.listdir(_OPEN))
    except OSError:
        # Reading the folder fails, too, if no descriptor is left for it.
        return 0 if _OPEN.exists() else None


def shortage_of_descriptors() -> str | None:
    """Returns a message if too few descriptors are left for new clients, else ``None``."""
    left = descriptors_left()
    if left is None or left >= _SPARE:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"file descriptors: {left} of {limit} are left (the limit is that of RLIMIT_NOFILE)"
