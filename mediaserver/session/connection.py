"""One client on one socket, from the upgrade to ``closing``: a greeting, then the service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from mediaserver.session.conversation import Conversation
from mediaserver.session.ending import END_RULES, Ending
from mediaserver.session.greeting import greet
from mediaserver.session.outlet import Outlet
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.service import Service
from mediaserver.session.session import Inference
from mediaserver.telemetry.logs import fields
from signaling.messages import Closing, EndReason
from signaling.websocket import SignalingSocket, SocketClosed

logger = logging.getLogger(__name__)


class Connection:
    """Owns what runs for the client of ``socket``, which is accepted already.

    ``on_greeted`` is called when the client has said who it is and has a place.
    """

    def __init__(
        self,
        socket: SignalingSocket,
        inference: Inference,
        registry: SessionRegistry,
        on_greeted: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._inference = inference
        self._registry = registry
        self._on_greeted = on_greeted
        self._ending = Ending()
        self._service: Service | None = None

    def end(self, reason: EndReason) -> None:
        """Asks the connection to end; the first reason stands."""
        self._ending.ask(reason)

    async def run(self) -> None:
        """Serves the client until one side ends it; everything is released when this returns."""
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
                self._let_go(reason, time.monotonic() - began)

    async def _serve(self) -> None:
        conversation = Conversation(self._socket, self._inference.metrics)
        greeted = await greet(conversation, self._inference, self._registry, self._replaced)
        self._on_greeted()
        outlet = Outlet(self._socket, greeted.hello.channel, self._inference.metrics)
        self._service = Service(greeted, conversation, outlet, self._inference, self._ending)
        logger.info("session started", extra=fields(session=greeted.session.id, resumed=greeted.resumed))
        await self._service.run()

    def _replaced(self) -> None:
        self.end(EndReason.REPLACED)

    async def _close(self, reason: EndReason) -> None:
        with contextlib.suppress(SocketClosed):
            await self._socket.send(Closing(reason, END_RULES[reason].retry_after_s))
        if self._service is not None:
            await self._service.close()
        await self._socket.close()

    def _let_go(self, reason: EndReason, seconds: float) -> None:
        """The session waits for its client to come back, or is over; the end is counted and logged."""
        self._inference.metrics.connections_ended.labels(reason).inc()
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
