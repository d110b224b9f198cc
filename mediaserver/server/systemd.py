"""Notifies systemd that the service is ready, alive or stopping (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

_SLOWEST_BEAT_S = 1.0


class Notifier:
    """Sends notifications to systemd; does nothing without it.

    ``watchdog_s`` is the longest silence in seconds that systemd's watchdog accepts, if it is on.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        # unix(7): an abstract address, which systemd writes with an @, begins with a zero byte.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_s = watchdog_s
        self._ready = False
        self._status = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Notifier:
        """Reads ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``, as systemd sets them."""
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "")
        watchdog_s = int(microseconds) / 1e6 if watched and microseconds.isdecimal() else None
        return cls(environment.get("NOTIFY_SOCKET") or None, watchdog_s or None)

    @property
    def interval_s(self) -> float:
        """Seconds between calls of `beat`: a third of ``watchdog_s``, 1 s at most."""
        return min(_SLOWEST_BEAT_S, (self.watchdog_s or 3 * _SLOWEST_BEAT_S) / 3)

    def beat(self, *, ready: bool, status: str) -> None:
        """Reports that the service is alive, with a ``status`` text. Readiness is sent once."""
        lines = [] if self.watchdog_s is None else ["WATCHDOG=1"]
        if ready and not self._ready:
            lines.append("READY=1")
        # The status must be one line, but an engine's trouble may have several.
        if (line := " ".join(status.split())) != self._status:
            lines.append(f"STATUS={line}")
        if self._send(lines):
            self._ready, self._status = self._ready or ready, line

    def stopping(self) -> None:
        """Reports that the service is stopping."""
        self._send(["STOPPING=1", "STATUS=stopping"])

    def _send(self, lines: list[str]) -> bool:
        """Sends without blocking, and returns whether it succeeded. The next beat repeats lost lines."""
        if self._address is None or not lines:
            return False
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto("\n".join(lines).encode(), self._address)
            return True
        return False
