"""The first exchange on a connection: admits the client, and makes its ``welcome``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inference.engines.contract import ModelInfo, Task
from mediaserver.session.conversation import Conversation
from mediaserver.session.ending import ConnectionEnded
from mediaserver.session.media_link import MediaLink
from mediaserver.session.options import available_models, default_options
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.session import Inference, Session
from mediaserver.settings.model import Settings
from mediaserver.webrtc.ice_addresses import ice_servers
from signaling.auth import Audience, Bearer, Expired, Unauthorized, identify
from signaling.continuation import continuation
from signaling.messages import (
    MAX_JPEG_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL_VERSION,
    EndReason,
    ErrorCode,
    Hello,
    Limits,
    ProtocolError,
    Watching,
    Welcome,
)
from signaling.websocket import FRAME_BYTES_PER_S, FRAMES_PER_S

HELLO_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Greeted:
    """An admitted client: its ``hello`` and its session."""

    hello: Hello
    session: Session
    media: MediaLink
    resumed: bool
    """Whether the session goes on from an earlier connection."""

    @property
    def media_kept(self) -> bool:
        """Whether the peer connection goes on, too."""
        return self.resumed and self.hello.keep_media and self.media.is_open


async def greet(conversation: Conversation) -> Hello:
    """Waits 5 s for ``hello``, then raises `ConnectionEnded`. Also raises as `Conversation.hello`."""
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            return await conversation.hello()
    except TimeoutError as exc:
        raise ConnectionEnded(EndReason.HELLO_TIMEOUT) from exc


def admit(
    hello: Hello,
    inference: Inference,
    registry: SessionRegistry,
    detach: Callable[[], None],
    closed: EndReason | None,
) -> Greeted:
    """Admits the client and takes a place for its session.

    ``detach`` ends the connection if another connection takes over the session. ``closed`` is the reason why
    no new session may begin, if any. Raises a fatal `ProtocolError` for a client that is not admitted, and
    `ConnectionEnded` if there is no place.
    """
    bearer = authorize(hello, inference.settings, registry)
    subject = bearer.subject if bearer else None
    if closed is not None and not (hello.resume and registry.holds(hello.resume, subject)):
        raise ConnectionEnded(closed)
    session, media, resumed = take_session(
        inference,
        registry,
        bearer,
        detach,
        resume=hello.resume,
        seq_floor=hello.seq_floor,
        every_frame=hello.every_frame,
    )
    return Greeted(hello, session, media, resumed)


def take_session(
    inference: Inference,
    registry: SessionRegistry,
    bearer: Bearer | None,
    detach: Callable[[], None],
    *,
    resume: str | None,
    name: str | None = None,
    seq_floor: int = 0,
    every_frame: bool = False,
) -> tuple[Session, MediaLink, bool]:
    """Resumes a session or begins a new one; returns it, its media, and whether it was resumed.

    ``resume`` is the token of an earlier session. If this process holds that session, it is resumed.
    Otherwise a session with this ``name`` begins, whose results are numbered above ``seq_floor``. If
    ``resume`` is of a session on a server with the same keys, the new session has the same id. Its numbering
    continues above the earlier ``seq_floor``, unless ``seq_floor`` is given.

    Raises `ConnectionEnded` if there is no place, and a fatal `ProtocolError` for a token that was used
    before.
    """
    subject = bearer.subject if bearer else None
    found = registry.resume(resume, subject, detach) if resume else None
    if found is not None:
        inference.metrics.sessions_resumed.inc()
        return *found, True
    settings = inference.settings
    keys = settings.token_keys
    before = continuation(resume, subject, keys.by_id if keys else None, time.time()) if resume else None
    session = Session(
        inference,
        default_options(settings, inference.engine.models),
        subject,
        name,
        id=before.session if before else None,
        seq_floor=seq_floor or (before.seq_floor if before else 0),
        every_frame=every_frame,
    )
    media = MediaLink(inference, session)
    with registry.used(bearer):
        registry.add(session, media, detach)
    return session, media, False


def authorize(hello: Hello, settings: Settings, registry: SessionRegistry) -> Bearer | None:
    """Checks the token, and returns its bearer; ``None`` if the server has no keys.

    A client may resume its own session with an expired token. Tokens are valid for minutes, but sessions last
    for hours. Raises a fatal `ProtocolError` for any other token that is not valid.
    """
    keys = settings.token_keys
    if keys is None:
        return None
    try:
        return identify(hello.token, keys.by_id, {Audience.SESSION}, time.time(), settings.region)
    except Unauthorized as exc:
        if isinstance(exc, Expired) and hello.resume and registry.holds(hello.resume, exc.subject):
            return Bearer(exc.subject)
        raise _unauthorized(exc) from exc


def watchable_subjects(hello: Hello, settings: Settings) -> tuple[str | None, ...]:
    """Returns the subjects whose sessions the client may watch: its own first, then those in its token.

    Raises a fatal `ProtocolError`.
    """
    if settings.workers > 1:  # another worker may run the session
        words = "watching is for servers with one worker (the setting workers)"
        raise ProtocolError(ErrorCode.UNEXPECTED_MESSAGE, words, fatal=True)
    keys = settings.token_keys
    if keys is None:
        return (None,)
    try:
        bearer = identify(
            hello.token, keys.by_id, {Audience.SESSION, Audience.WATCH}, time.time(), settings.region
        )
    except Unauthorized as exc:
        raise _unauthorized(exc) from exc
    return (bearer.subject, *bearer.watch)


def _unauthorized(exc: Unauthorized) -> ProtocolError:
    return ProtocolError(ErrorCode.UNAUTHORIZED, str(exc), fatal=True)


def welcome(greeted: Greeted, settings: Settings, models: Mapping[Task, ModelInfo]) -> Welcome:
    """Makes the ``welcome`` message for a client with a session."""
    session = greeted.session
    return Welcome(
        protocol=PROTOCOL_VERSION,
        session=session.id,
        resume_token=session.resume_token,
        resumed=greeted.resumed,
        ice_servers=ice_servers(settings, session.id, time.time()),
        limits=_limits(settings),
        models=available_models(models),
        every_frame=session.every_frame,
        media_kept=greeted.media_kept,
        engine=settings.engine,
        node=settings.node_name,
        seq_floor=session.seq_floor,
    )


def watching(settings: Settings, models: Mapping[Task, ModelInfo]) -> Watching:
    """Makes the ``watching`` message for a client that watches."""
    return Watching(PROTOCOL_VERSION, _limits(settings), available_models(models), settings.engine)


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_text_bytes=MAX_TEXT_BYTES,
        max_jpeg_bytes=MAX_JPEG_BYTES,
        liveness_timeout_s=settings.liveness_timeout_s,
        resume_window_s=settings.resume_window_s,
        max_jpeg_frames_per_s=FRAMES_PER_S,
        max_jpeg_bytes_per_s=FRAME_BYTES_PER_S,
        no_media_timeout_s=settings.no_media_timeout_s,
        pause_timeout_s=settings.pause_timeout_s,
    )
