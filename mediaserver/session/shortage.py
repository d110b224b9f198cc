"""Records that the machine has run out of sockets, ports or file descriptors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from mediaserver.telemetry.metrics import Metrics
from signaling.rate_limit import RateLimit

_LASTING_S = 10.0
"""Time after the last failure in which a shortage is reported."""
_LINES_PER_S = 0.1

logger = logging.getLogger(__name__)


class Shortage:
    """A shortage of sockets. Failures are noted here, and admission of new clients reads it."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = metrics.socket_failures
        self._clock = clock
        self._lines = RateLimit(_LINES_PER_S, burst=1)
        self._noted_at = float("-inf")
        self._words = ""

    def note(self, words: str) -> None:
        """Notes a failure, or a near failure. ``words`` names the resource."""
        self._failures.inc()
        self._noted_at, self._words = self._clock(), words
        if self._lines.allows(self._noted_at):
            logger.error("out of sockets: %s", words)

    @property
    def words(self) -> str | None:
        """The resource that is short now; ``None`` if none is."""
        return self._words if self._clock() - self._noted_at < _LASTING_S else None
