"""The format of log lines, text or JSON, and the limit that keeps clients from flooding the log.

A line is a message and fields: ``logger.info("session ended", extra=fields(reason=reason))``.
"""

from __future__ import annotations

import logging
import select
import time
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from mediaserver.errors import is_out_of_memory
from signaling.rate_limit import RateLimit

_LINES_PER_S, _BURST = 0.2, 10.0
_NOISY = ("aioice", "aiortc")
_PIECE = select.PIPE_BUF // 4
"""Characters that a pipe takes at once if it is writable (POSIX, PIPE_BUF); UTF-8 takes 4 bytes at most."""


def fields(**values: object) -> dict[str, object]:
    """The argument ``extra`` of a log line with fields."""
    return {"fields": values}


def configure(level: str, log_format: str, worker: int | None = None) -> None:
    """Sends all log lines of this process to stderr, in ``log_format``: ``text`` or ``json``.

    ``worker`` is the number of this process, if there are several.
    """
    handler = UnblockedHandler()
    handler.setFormatter((JsonFormatter if log_format == "json" else TextFormatter)(worker))
    handler.addFilter(FloodFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))


class _Formatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        """Formats an error for want of memory without its traceback, which does not show the cause."""
        kind, error, _ = ei
        if error is not None and is_out_of_memory(error):
            return f"{kind.__name__}: {error}"
        return super().formatException(ei)


class UnblockedHandler(logging.StreamHandler[TextIO]):
    """Writes lines to stderr without waiting.

    The reader of the log may stop: a full pipe, a terminal after Ctrl-S. The event loop must go on, so the
    handler drops lines meanwhile and counts them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line, or counts it."""
        try:
            if not self._is_ready():
                self._lost += 1
                return
            if self._lost:
                record.__dict__.update(fields(**_fields(record), lines_lost_before=self._lost))
                self._lost = 0
            line = self.format(record) + self.terminator
            for start in range(0, len(line), _PIECE):
                if start == 0 or self._is_ready():
                    self.stream.write(line[start : start + _PIECE])
                    self.flush()
        except Exception:  # noqa: BLE001 - as `logging.StreamHandler` does
            self.handleError(record)

    def _is_ready(self) -> bool:
        try:
            poll = select.poll()
            poll.register(self.stream.fileno(), select.POLLOUT)
        except (OSError, ValueError):  # a stream that is no file
            return True
        return bool(poll.poll(0))


class TextFormatter(_Formatter):
    """``time LEVEL logger: message field=value``, for people."""

    def __init__(self, worker: int | None = None) -> None:
        who = "" if worker is None else f" worker {worker}"
        super().__init__(f"%(asctime)s{who} %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Returns the line without exception and stack."""
        return "".join(
            [super().formatMessage(record), *(f" {key}={value}" for key, value in _fields(record).items())]
        )


class JsonFormatter(_Formatter):
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
    """Limits the rate of lines per call site: burst 10, then one per 5 s, with the number left out.

    Clients can cause some lines at any rate. A line with the field ``session`` is not limited.
    A session logs one line at its start and one at its end.
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
