"""How log lines look, as text or JSON, and what keeps clients from flooding the log.

A line is a message and fields: ``logger.info("session ended", extra=fields(reason=reason))``.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from signaling.rate_limit import RateLimit

_LINES_PER_S, _BURST = 0.2, 10.0
_NOISY = ("aioice", "aiortc")


def fields(**values: object) -> dict[str, object]:
    """The argument ``extra`` of a log line with fields."""
    return {"fields": values}


def configure(level: str, log_format: str, worker: int | None = None) -> None:
    """Everything that this process logs goes to stderr, as ``log_format``: ``text`` or ``json``.

    ``worker`` is the number of this process, where there are several.
    """
    handler = logging.StreamHandler()
    handler.setFormatter((JsonFormatter if log_format == "json" else TextFormatter)(worker))
    handler.addFilter(FloodFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))


class TextFormatter(logging.Formatter):
    """``time LEVEL logger: message field=value``, for people."""

    def __init__(self, worker: int | None = None) -> None:
        who = "" if worker is None else f" worker {worker}"
        super().__init__(f"%(asctime)s{who} %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without what follows it: exception and stack."""
        return "".join(
            [super().formatMessage(record), *(f" {key}={value}" for key, value in _fields(record).items())]
        )


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for programs: time (RFC 3339), level, logger, message, then the fields."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._who = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._who,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class FloodFilter(logging.Filter):
    """Lets each place in the code log a few lines at once, then one now and then, with the number left out.

    Clients can cause some lines as often as they like. The lines of a session are all kept: one where it
    begins and one where it ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._limits: dict[tuple[str, int], RateLimit] = {}
        self._left_out: dict[tuple[str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is logged."""
        if record.levelno < logging.INFO or "session" in _fields(record):
            return True
        place = record.pathname, record.lineno
        limit = self._limits.setdefault(place, RateLimit(_LINES_PER_S, _BURST))
        if not limit.allows(time.monotonic()):
            self._left_out[place] = self._left_out.get(place, 0) + 1
            return False
        if left_out := self._left_out.pop(place, 0):
            record.__dict__.update(fields(**_fields(record), left_out=left_out))
        return True


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = record.__dict__.get("fields", {})
    return found
