"""The end of connections: its reason, and what follows for the client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from mediaserver.errors import is_out_of_memory
from signaling.messages import EndReason
from signaling.websocket import SocketClosed

logger = logging.getLogger(__name__)


class EndRule(NamedTuple):
    """The consequences of an `EndReason`."""

    retry_after_s: float | None
    """Seconds after which the client may try again; ``None`` if another attempt cannot help."""
    resumable: bool
    """Whether the session waits for its client to return."""


END_RULES: dict[EndReason, EndRule] = {
    EndReason.BYE: EndRule(None, resumable=False),
    EndReason.CLIENT_GONE: EndRule(0.0, resumable=True),
    EndReason.PING_TIMEOUT: EndRule(0.0, resumable=True),
    EndReason.MEDIA_TIMEOUT: EndRule(0.0, resumable=True),
    EndReason.PAUSE_TIMEOUT: EndRule(None, resumable=False),
    EndReason.DTLS_FAILED: EndRule(0.0, resumable=True),
    EndReason.HELLO_TIMEOUT: EndRule(0.0, resumable=False),
    EndReason.NO_MEDIA: EndRule(0.0, resumable=True),
    EndReason.PROTOCOL_ERROR: EndRule(None, resumable=False),
    EndReason.UNAUTHORIZED: EndRule(None, resumable=False),
    EndReason.REPLACED: EndRule(None, resumable=True),
    # Another client took the last place. If the server stays full, it refuses the next upgrade.
    EndReason.SERVER_FULL: EndRule(1.0, resumable=True),
    EndReason.TOO_MANY_SESSIONS: EndRule(10.0, resumable=True),
    EndReason.MOVED: EndRule(0.0, resumable=False),
    EndReason.SERVER_SHUTDOWN: EndRule(2.0, resumable=False),
    EndReason.INTERNAL_ERROR: EndRule(1.0, resumable=True),
}


KEEPS_MEDIA = frozenset(
    (EndReason.CLIENT_GONE, EndReason.PING_TIMEOUT, EndReason.MEDIA_TIMEOUT, EndReason.REPLACED)
)
"""Reasons after which the peer connection is kept for the client's return.

They tell nothing about the peer connection, or only that its network was interrupted.
"""

_SYMPTOMS = frozenset((EndReason.CLIENT_GONE, EndReason.NO_MEDIA, EndReason.MEDIA_TIMEOUT))
"""Reasons that may be consequences of a suspected reason, which then replaces them."""


class ConnectionEnded(Exception):
    """The connection must end. ``reason`` is sent to the client."""

    def __init__(self, reason: EndReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Ending:
    """The end of one connection. Several callers may ask for it; the first reason stands."""

    def __init__(self) -> None:
        self._reason: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self._suspected: EndReason | None = None
        self._foretold: EndReason | None = None

    @property
    def reason(self) -> EndReason | None:
        """The reason of the end; ``None`` while the connection goes on."""
        return self._reason.result() if self._reason.done() else None

    def ask(self, reason: EndReason) -> None:
        """Asks for the end, for ``reason`` unless another is foretold or suspected."""
        if not self._reason.done():
            cause = self._suspected if reason in _SYMPTOMS else None
            self._reason.set_result(self._foretold or cause or reason)

    def foretell(self, reason: EndReason) -> None:
        """Sets the reason of any later end."""
        self._foretold = reason

    def suspect(self, reason: EndReason | None) -> None:
        """Sets the cause to report if the client leaves or sends no media; ``None`` clears it."""
        self._suspected = reason

    async def wait(self) -> EndReason:
        """Waits until the end is asked for, and returns its reason."""
        return await asyncio.shield(self._reason)

    async def guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs ``work``. An error in it ends this connection only, with a reason."""
        try:
            await work()
        except (ConnectionEnded, SocketClosed) as exc:
            self.ask(exc.reason)
        except Exception as exc:
            if is_out_of_memory(exc):
                self.memory_ran_out()
                return
            logger.exception("connection failed")
            self.ask(EndReason.INTERNAL_ERROR)

    def memory_ran_out(self) -> None:
        """Ends the connection, as its memory cannot be allocated."""
        logger.error("out of memory: a connection ends, so that others can go on")
        self.ask(EndReason.SERVER_FULL)
