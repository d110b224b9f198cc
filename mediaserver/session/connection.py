"""The connection of one client from its beginning to its end, by WebSocket or WHIP."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod

from mediaserver.session.ending import KEEPS_MEDIA, Ending
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.service import Service
from mediaserver.session.session import Inference
from mediaserver.telemetry.logs import fields
from signaling.messages import EndReason

logger = logging.getLogger(__name__)


class Connection(ABC):
    """Owns all tasks that run for the client."""

    _keeps_media = True
    """Whether the client can return to its peer connection."""

    def __init__(self, inference: Inference, registry: SessionRegistry) -> None:
        self._inference = inference
        self._registry = registry
        self._ending = Ending()
        self._service: Service | None = None

    def end(self, reason: EndReason) -> None:
        """Asks the connection to end; the first reason stands."""
        self._ending.ask(reason)

    async def move(self) -> None:
        """Asks the client to go to another server, as this server ends; returns when the time is over."""
        self.end(EndReason.MOVED)

    async def run(self) -> None:
        """Serves the client until one side ends the connection. All resources are released on return."""
        began = time.monotonic()
        reason = EndReason.INTERNAL_ERROR
        try:
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._ending.guard(self._serve))
                reason = await self._ending.wait()
                serving.cancel()
        finally:
            try:
                await self._close(reason)
            finally:
                self._inference.metrics.connections_ended.labels(reason).inc()
                self._let_go(reason, time.monotonic() - began)

    @abstractmethod
    async def _serve(self) -> None:
        """Admits the client and serves it until cancelled."""

    async def _close(self, reason: EndReason) -> None:
        """Ends the service of the client."""
        if self._service is not None:
            await self._service.close(keep_media=self._keeps_media and reason in KEEPS_MEDIA)

    def _begin(self, service: Service, *, resumed: bool) -> None:
        """Makes this connection run the session of ``service``, which is registered already."""
        self._service = service
        session = service.session
        stream = {} if session.name is None else {"stream": session.name}
        logger.info("session started", extra=fields(session=session.id, **stream, resumed=resumed))

    def _replaced(self) -> None:
        self.end(EndReason.REPLACED)

    def _let_go(self, reason: EndReason, seconds: float) -> None:
        """Releases the session, which waits for its client to return, or ends."""
        ended = {"reason": reason, "seconds": round(seconds, 1)}
        if self._service is None:
            logger.info("connection without a session ended", extra=fields(**ended))
            return
        session = self._service.session
        self._registry.release(session, self._replaced, reason)
        logger.info(
            "session ended",
            extra=fields(
                session=session.id,
                **ended,
                frames=session.sink.received,
                results=session.results_sent,
                dropped=session.dropped,
            ),
        )
