"""Resume tokens: they lead back to a session, and name it to the next server. Pure functions.

Servers share no store, so the client carries what the next server needs, signed. That is the session's id,
and a number that its results cannot have reached. To the session's own server the token is only a secret.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from signaling.auth import Audience, Key, Unauthorized, can_sign, claims_of, sign

LIFE_S = 86_400
"""For as long as a server may leave its sessions to themselves when it is to end."""
_MOST_RESULTS_PER_S = 200
"""No session has more: there is one result a frame, and the camera does not exist."""
_SESSION_ID = re.compile(r"[\w-]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Continuation:
    """A session that began on another server, or that is over on this one."""

    session: str
    """Its id."""
    seq_floor: int
    """No result of it has a greater number."""


def session_id() -> str:
    """A new id, unique by its 72 random bits."""
    return secrets.token_urlsafe(9)


def resume_token(
    session: str, subject: str | None, seq_floor: int, keys: Mapping[str, Key] | None, now: float
) -> str:
    """Leads to ``session`` of ``subject``, whose results are numbered above ``seq_floor``. Without a
    secret among ``keys`` it says nothing to other servers. ``now`` is Unix time in seconds."""
    secret = secrets.token_urlsafe(24)
    if not keys or subject is None or not can_sign(keys):
        return secret
    about: dict[str, int | str] = {"sid": session, "seq": seq_floor, "iat": int(now), "jti": secret}
    return sign(_digest(subject), keys, Audience.RESUME, now + LIFE_S, **about)


def continuation(
    token: str, subject: str | None, keys: Mapping[str, Key] | None, now: float
) -> Continuation | None:
    """The session of ``subject`` that the token names. ``None`` if it is no resume token, has expired, is of
    another subject, or was signed with other keys."""
    if not keys or subject is None:
        return None
    try:
        claims = claims_of(token, keys, {Audience.RESUME}, now)
    except Unauthorized:
        return None
    session, seq, issued = claims.get("sid"), claims.get("seq"), claims.get("iat")
    if claims["sub"] != _digest(subject) or type(seq) is not int or type(issued) is not int:
        return None
    if not isinstance(session, str) or not _SESSION_ID.fullmatch(session):
        return None
    return Continuation(session, seq + max(0, int(now) - issued + 1) * _MOST_RESULTS_PER_S)


def _digest(subject: str) -> str:
    """In place of the subject: that may be as long as a token."""
    return hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()
