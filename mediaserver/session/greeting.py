"""The first exchange on a connection: who is let in, and what they are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inference.engines.contract import ModelInfo, Task
from mediaserver.session.conversation import Conversation
from mediaserver.session.ending import ConnectionEnded
from mediaserver.session.options import available_models, default_options
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.session import Inference, Session
from mediaserver.settings.model import Settings
from mediaserver.webrtc.ice_addresses import ice_servers
from signaling.auth import Audience, Expired, Unauthorized, verify
from signaling.messages import (
    MAX_JPEG_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL_VERSION,
    EndReason,
    ErrorCode,
    Hello,
    Limits,
    ProtocolError,
    Welcome,
)

HELLO_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Greeted:
    """A client that was let in: what it said, and its session."""

    hello: Hello
    session: Session
    resumed: bool
    """Whether the session goes on from an earlier connection."""


async def greet(
    conversation: Conversation, inference: Inference, registry: SessionRegistry, detach: Callable[[], None]
) -> Greeted:
    """Waits for ``hello``, lets the client in and takes a place for its session. ``detach`` ends the
    connection, should another one take over the session.

    Raises `ConnectionEnded` for who is silent, not let in, or finds no place; else as `Conversation.hello`.
    """
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            hello = await conversation.hello()
    except TimeoutError as exc:
        raise ConnectionEnded(EndReason.HELLO_TIMEOUT) from exc
    async with conversation.refusing():
        subject = authorize(hello, inference.settings, registry)
    session = registry.resume(hello.resume, subject, detach) if hello.resume else None
    if session is not None:
        return Greeted(hello, session, resumed=True)
    session = Session(inference, default_options(inference.settings, inference.engine.models))
    registry.add(session, subject, detach)
    return Greeted(hello, session, resumed=False)


def authorize(hello: Hello, settings: Settings, registry: SessionRegistry) -> str | None:
    """Checks the token where one is asked for, and returns its subject; raises a fatal `ProtocolError`.

    A session takes its own client back with a token that has expired since: tokens live for minutes,
    sessions for hours, and networks fail at any time.
    """
    keys = settings.token_keys
    if keys is None:
        return None
    try:
        return verify(hello.token, keys.by_id, Audience.SESSION, time.time())
    except Unauthorized as exc:
        if isinstance(exc, Expired) and hello.resume and registry.holds(hello.resume, exc.subject):
            return exc.subject
        raise ProtocolError(ErrorCode.UNAUTHORIZED, str(exc), fatal=True) from exc


def welcome(greeted: Greeted, settings: Settings, models: Mapping[Task, ModelInfo]) -> Welcome:
    """What the client is told."""
    session = greeted.session
    return Welcome(
        protocol=PROTOCOL_VERSION,
        session=session.id,
        resume_token=session.resume_token,
        resumed=greeted.resumed,
        ice_servers=ice_servers(settings, session.id, time.time()),
        limits=Limits(
            max_text_bytes=MAX_TEXT_BYTES,
            max_jpeg_bytes=MAX_JPEG_BYTES,
            liveness_timeout_s=settings.liveness_timeout_s,
            resume_window_s=settings.resume_window_s,
        ),
        models=available_models(models),
    )
