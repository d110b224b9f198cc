"""How connections end: who may ask for it, and what follows for the client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from signaling.messages import EndReason
from signaling.websocket import SocketClosed

logger = logging.getLogger(__name__)


class EndRule(NamedTuple):
    """What follows from an `EndReason`."""

    retry_after_s: float | None
    """When the client may try again, in seconds; ``None`` where trying again cannot help."""
    resumable: bool
    """Whether the session waits for its client to come back."""


END_RULES: dict[EndReason, EndRule] = {
    EndReason.BYE: EndRule(None, resumable=False),
    EndReason.CLIENT_GONE: EndRule(0.0, resumable=True),
    EndReason.PING_TIMEOUT: EndRule(0.0, resumable=True),
    EndReason.MEDIA_TIMEOUT: EndRule(0.0, resumable=True),
    EndReason.HELLO_TIMEOUT: EndRule(0.0, resumable=False),
    EndReason.NO_MEDIA: EndRule(0.0, resumable=True),
    EndReason.PROTOCOL_ERROR: EndRule(None, resumable=False),
    EndReason.UNAUTHORIZED: EndRule(None, resumable=False),
    EndReason.REPLACED: EndRule(None, resumable=True),
    EndReason.SERVER_FULL: EndRule(10.0, resumable=True),
    EndReason.TOO_MANY_SESSIONS: EndRule(10.0, resumable=True),
    EndReason.SERVER_SHUTDOWN: EndRule(2.0, resumable=False),
    EndReason.INTERNAL_ERROR: EndRule(1.0, resumable=True),
}


class ConnectionEnded(Exception):
    """The connection cannot go on; ``reason`` is what the client is told."""

    def __init__(self, reason: EndReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Ending:
    """The end of one connection. Many may ask for it; the first reason stands."""

    def __init__(self) -> None:
        self._reason: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()

    @property
    def reason(self) -> EndReason | None:
        """Why the connection ends; ``None`` while it goes on."""
        return self._reason.result() if self._reason.done() else None

    def ask(self, reason: EndReason) -> None:
        """Asks for the end."""
        if not self._reason.done():
            self._reason.set_result(reason)

    async def wait(self) -> EndReason:
        """Returns when the end was asked for."""
        return await asyncio.shield(self._reason)

    async def guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does ``work``. An error in it ends this connection with a reason, and nothing else."""
        try:
            await work()
        except (ConnectionEnded, SocketClosed) as exc:
            self.ask(exc.reason)
        except Exception:
            logger.exception("connection failed")
            self.ask(EndReason.INTERNAL_ERROR)
