"""Tells systemd that the service is ready, alive, stopping (sd_notify(3)); without systemd, nobody."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

_SLOWEST_BEAT_S = 1.0


class Notifier:
    """A service's line to systemd. ``watchdog_s``: how long the service may be silent, if that is watched."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        # unix(7): an abstract address, written with an @ here, begins with a zero byte.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_s = watchdog_s
        self._ready = False
        self._status = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Notifier:
        """As systemd asks for it: ``NOTIFY_SOCKET``; ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "")
        watchdog_s = int(microseconds) / 1e6 if watched and microseconds.isdecimal() else None
        return cls(environment.get("NOTIFY_SOCKET") or None, watchdog_s or None)

    @property
    def interval_s(self) -> float:
        """How often to `beat`: three times within the watchdog's patience."""
        return min(_SLOWEST_BEAT_S, (self.watchdog_s or 3 * _SLOWEST_BEAT_S) / 3)

    def beat(self, *, ready: bool, status: str) -> None:
        """The service is alive, and ``status`` says in words what it does. Ready is told once."""
        lines = [] if self.watchdog_s is None else ["WATCHDOG=1"]
        if ready and not self._ready:
            lines.append("READY=1")
        # A line each: what an engine says of its trouble may have several.
        if (line := " ".join(status.split())) != self._status:
            lines.append(f"STATUS={line}")
        if self._send(lines):
            self._ready, self._status = self._ready or ready, line

    def stopping(self) -> None:
        """The service has begun to end."""
        self._send(["STOPPING=1", "STATUS=stopping"])

    def _send(self, lines: list[str]) -> bool:
        """Whether it was taken. What was not, the next beat says again: the service must not wait for
        systemd."""
        if self._address is None or not lines:
            return False
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto("\n".join(lines).encode(), self._address)
            return True
        return False
