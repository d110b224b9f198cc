"""One client on one WebSocket, from the upgrade to ``closing``: a greeting, then a session or watching."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial

from msgspec import UNSET, UnsetType

from mediaserver.session.connection import Connection
from mediaserver.session.conversation import Conversation
from mediaserver.session.dialogue import Dialogue
from mediaserver.session.ending import END_RULES, ConnectionEnded
from mediaserver.session.greeting import admit, greet, watchable_subjects, watching
from mediaserver.session.media_link import MediaLink
from mediaserver.session.outlet import Outlet
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.service import Service
from mediaserver.session.session import Inference, Session
from mediaserver.session.watchers import Watcher
from mediaserver.telemetry.logs import fields
from signaling.auth import Audience, can_sign, sign
from signaling.messages import ClientMessage, Closing, EndReason, Hello, Ping, Pong
from signaling.websocket import SignalingSocket, SocketClosed

_MOVE_S = 10.0
"""Time for which a client stays connected after it was asked to go to another server."""
_PASSAGE_S = 60.0
"""Validity of the token that admits it to the other server."""

logger = logging.getLogger(__name__)


class SocketConnection(Connection):
    """Serves the client of ``socket``, which is accepted already.

    ``on_greeted`` is called when the client is admitted and has a place. With ``closed`` only clients that
    resume a session are admitted; others get this reason.
    """

    def __init__(
        self,
        socket: SignalingSocket,
        inference: Inference,
        registry: SessionRegistry,
        on_greeted: Callable[[], None],
        *,
        closed: EndReason | None = None,
    ) -> None:
        super().__init__(inference, registry)
        self._socket = socket
        self._on_greeted = on_greeted
        self._closed = closed
        self._has_closing = False
        self._watcher: Watcher | None = None

    async def _serve(self) -> None:
        conversation = Conversation(self._socket, self._inference.metrics)
        hello = await greet(conversation)
        if hello.watch is None:
            await self._serve_session(hello, conversation)
        else:
            await self._serve_watcher(hello, hello.watch, conversation)

    async def _serve_session(self, hello: Hello, conversation: Conversation) -> None:
        async with conversation.refusing():
            greeted = admit(hello, self._inference, self._registry, self._replaced, self._closed)
        self._on_greeted()
        session, inference = greeted.session, self._inference
        if not greeted.media_kept:
            await greeted.media.close()
        watchers = self._registry.watchers.of(session)
        outlet = Outlet(self._socket, greeted.hello.channel, watchers, inference.metrics)
        service = Service(
            *(session, greeted.media, outlet, inference, self._ending), last_event_id=hello.last_event_id
        )
        self._begin(service, resumed=greeted.resumed)
        if greeted.media_kept:
            conversation.negotiation.kept()
        await Dialogue(greeted, conversation, outlet, service, inference).run()

    async def _serve_watcher(self, hello: Hello, wanted: str, conversation: Conversation) -> None:
        async with conversation.refusing():
            subjects = watchable_subjects(hello, self._inference.settings)
        watcher = Watcher(wanted, subjects, self._inference.metrics, self.end)
        self._registry.watchers.join(watcher)
        self._watcher = watcher
        self._on_greeted()
        logger.info("watcher joined")
        await conversation.send(watching(self._inference.settings, self._inference.engine.models))
        async with asyncio.TaskGroup() as tasks:
            for part in (
                partial(conversation.read, partial(_answer_watcher, conversation)),
                partial(watcher.send_results, self._socket),
                partial(watcher.send_events, self._socket),
            ):
                tasks.create_task(self._ending.guard(part))

    def continued(self) -> tuple[Session, MediaLink] | None:
        """Returns the session and its media if they can go on without the closed socket, else ``None``."""
        if self._service is None or not self._service.media.has_data_channel:
            return None
        return self._service.session, self._service.media

    async def move(self) -> None:
        """Sends ``closing``, and serves a session for 10 s more.

        So the client can open its next session before it leaves.
        """
        if self._service is not None:
            self._ending.foretell(EndReason.MOVED)
            await self._send_closing(EndReason.MOVED, self._passage(self._service.session.subject))
            await asyncio.sleep(_MOVE_S)
        self.end(EndReason.MOVED)

    def _passage(self, subject: str | None) -> str | UnsetType:
        """Makes a token for another node with the same keys, as the client's own may have expired."""
        keys = self._inference.settings.token_keys
        if keys is None or subject is None or not can_sign(keys.by_id):
            return UNSET
        return sign(subject, keys.by_id, Audience.SESSION, time.time() + _PASSAGE_S)

    async def _send_closing(self, reason: EndReason, token: str | UnsetType = UNSET) -> None:
        """Sends ``closing`` once. Other messages may follow it only after `move`."""
        if not self._has_closing:
            self._has_closing = True
            with contextlib.suppress(SocketClosed):
                await self._socket.send(Closing(reason, END_RULES[reason].retry_after_s, token))

    async def _close(self, reason: EndReason) -> None:
        await self._send_closing(reason)
        await super()._close(reason)
        await self._socket.close()

    def _let_go(self, reason: EndReason, seconds: float) -> None:
        if self._watcher is None:
            super()._let_go(reason, seconds)
            return
        self._registry.watchers.leave(self._watcher)
        logger.info("watcher left", extra=fields(reason=reason, seconds=round(seconds, 1)))


async def _answer_watcher(conversation: Conversation, message: ClientMessage | bytes) -> None:
    """Answers ``ping``, and ends on ``bye``. `signaling.negotiation` rejects all other messages."""
    if isinstance(message, Ping):
        await conversation.send(Pong(message.id, time.time() * 1000.0))
    else:
        raise ConnectionEnded(EndReason.BYE)
