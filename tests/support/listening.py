"""Whether a server has come up."""

from __future__ import annotations

import contextlib
import socket


def listens(port: int) -> bool:
    """Whether someone takes connections at this TCP port of 127.0.0.1."""
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
