"""The first exchange on a connection: who is let in, and what they are told."""

from __future__ import annotations

import time
from collections.abc import Mapping

from inference.engines.contract import ModelInfo, Task
from mediaserver.session.options import available_models
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.session import Session
from mediaserver.settings.model import Settings
from mediaserver.webrtc.ice_addresses import ice_servers
from signaling.auth import Audience, Expired, Unauthorized, verify
from signaling.messages import (
    MAX_JPEG_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL_VERSION,
    ErrorCode,
    Hello,
    Limits,
    ProtocolError,
    Welcome,
)


def authorize(hello: Hello, settings: Settings, sessions: SessionRegistry) -> None:
    """Checks the token where one is asked for; raises a fatal `ProtocolError`.

    A session takes its own client back with a token that has expired since: tokens live for minutes,
    sessions for hours, and networks fail at any time.
    """
    keys = settings.token_keys
    if keys is None:
        return
    try:
        verify(hello.token, keys.by_id, Audience.SESSION, time.time())
    except Unauthorized as exc:
        if isinstance(exc, Expired) and hello.resume in sessions:
            return
        raise ProtocolError(ErrorCode.UNAUTHORIZED, str(exc), fatal=True) from exc


def welcome(
    session: Session, settings: Settings, models: Mapping[Task, ModelInfo], *, resumed: bool
) -> Welcome:
    """What the client of ``session`` is told; ``resumed`` says whether it goes on with one of before."""
    return Welcome(
        protocol=PROTOCOL_VERSION,
        session=session.id,
        resume_token=session.resume_token,
        resumed=resumed,
        ice_servers=ice_servers(settings, session.id, time.time()),
        limits=Limits(
            max_text_bytes=MAX_TEXT_BYTES,
            max_jpeg_bytes=MAX_JPEG_BYTES,
            liveness_timeout_s=settings.liveness_timeout_s,
            resume_window_s=settings.resume_window_s,
        ),
        models=available_models(models),
    )
