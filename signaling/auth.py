"""Who may open a session: signed tokens and the origin allow-list. Pure functions.

Tokens are JWTs (RFC 7519) signed with HS256 by whoever starts the machine. They name their audience and
end soon. Keys rotate: several are accepted, and the header's ``kid`` says which one signed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import jwt

MIN_KEY_BYTES = 32
"""RFC 7518, section 3.2: a key for HS256 is at least as long as its hash."""
CLOCK_SKEW_S = 10


class Audience(StrEnum):
    """What a token opens; it opens nothing else."""

    SESSION = "mediaserver"
    """``hello`` on ``/ws/inference``."""
    CONTROL = "mediaserver-control"
    """``POST /drain``."""


class Unauthorized(Exception):
    """The token does not let its bearer in. The message says why, and may be shown to them."""


class Expired(Unauthorized):
    """The token was good, but its time is over."""


class BadKeys(ValueError):
    """The configured keys cannot be used; the message says why and never shows a key."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token was given to, and until when it is valid, in Unix seconds."""

    subject: str
    expires: int


def parse_keys(text: str) -> dict[str, str]:
    """Reads ``{"key id": "secret", …}``, each secret at least `MIN_KEY_BYTES` long. Raises `BadKeys`."""
    try:
        keys = json.loads(text)
    except ValueError as error:
        raise BadKeys("the keys are not JSON") from error
    if not isinstance(keys, dict) or not keys:
        raise BadKeys('the keys must be a JSON object like {"key id": "secret"} with at least one entry')
    for key_id, secret in keys.items():
        if not isinstance(secret, str) or len(secret.encode()) < MIN_KEY_BYTES:
            raise BadKeys(f"key {key_id!r} must be a text of at least {MIN_KEY_BYTES} bytes")
    return keys


def verify(token: str | None, keys: Mapping[str, str], audience: Audience, now: float) -> Bearer:
    """Returns the bearer of a valid token; ``now`` is Unix time in seconds.

    Raises `Expired` where only its time is over, else `Unauthorized`.
    """
    if not token:
        raise Unauthorized("a token is needed")
    try:
        claims = jwt.decode(
            token,
            keys[jwt.get_unverified_header(token)["kid"]],
            algorithms=["HS256"],
            audience=audience,
            # Time is passed in, so that this stays a pure function.
            options={
                "require": ["exp", "sub"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidAudienceError as error:
        raise Unauthorized("the token was made for something else") from error
    except (KeyError, TypeError, RecursionError, UnicodeEncodeError, jwt.PyJWTError) as error:
        raise Unauthorized("the token was not signed by a known key") from error
    expires = claims["exp"]
    if not isinstance(expires, int):
        raise Unauthorized("the token's end is not a number")
    if now > expires + CLOCK_SKEW_S:
        raise Expired("the token has expired")
    return Bearer(str(claims["sub"]), expires)


def origin_allowed(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a page from ``origin`` (the header, RFC 6454) may open a socket on ``host`` (the header).

    An empty list allows the pages of the same host alone. The scheme is not compared: a proxy may end TLS.
    Programs send no origin and are let in: the list keeps foreign pages from using a user's browser, and a
    program can write what it likes into the header.
    """
    if origin is None:
        return True
    if allowed:
        return origin in allowed
    authority = origin.partition("://")[2]
    return authority != "" and authority.lower() == host.lower()
