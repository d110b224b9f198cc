"""Who may open a session: signed tokens and the origin allow-list. Pure functions.

Tokens are JWTs (RFC 7519) signed with HS256 by whoever starts the machine. They name their audience and
end soon. Keys rotate: several are accepted, and the header's ``kid`` says which one signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

import jwt

from signaling.messages import MAX_TOKEN_BYTES

MIN_KEY_BYTES = 32
"""RFC 7518, section 3.2: a key for HS256 is at least as long as its hash."""
CLOCK_SKEW_S = 10

_COMPACT_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
"""RFC 7515, section 7.1, with a signature: three parts in base64url without padding."""
_SUBJECT = re.compile(r"[^\ud800-\udfff]+", re.DOTALL)
"""Text that can be written as UTF-8: JSON can spell half of a surrogate pair."""


class Audience(StrEnum):
    """What a token opens; it opens nothing else."""

    SESSION = "mediaserver"
    """``hello`` on ``/ws/inference``."""
    CONTROL = "mediaserver-control"
    """``POST /drain``."""


class Unauthorized(Exception):
    """The token does not let its bearer in. The message says why, and may be shown to them."""


class Expired(Unauthorized):
    """The token was good, but its time is over. ``subject`` is who it was given to."""

    def __init__(self, subject: str) -> None:
        super().__init__("the token has expired")
        self.subject = subject


class BadKeys(ValueError):
    """The configured keys cannot be used; the message says why and never shows a key."""


def parse_keys(text: str) -> dict[str, str]:
    """Reads ``{"key id": "secret", …}``, each secret at least `MIN_KEY_BYTES` long. Raises `BadKeys`."""
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadKeys("the keys are not JSON") from error
    if not isinstance(keys, dict) or not keys:
        raise BadKeys('the keys must be a JSON object like {"key id": "secret"} with at least one entry')
    for key_id, secret in keys.items():
        if not _is_secret(secret):
            raise BadKeys(
                f"key {key_id!r} must be a text of at least {MIN_KEY_BYTES} bytes, and no PEM, SSH key or JWK"
            )
    return keys


def _is_secret(value: object) -> bool:
    """Whether PyJWT takes it as a key for HS256: it refuses what looks like a key for something else."""
    if not isinstance(value, str):
        return False
    try:
        key: bytes = jwt.get_algorithm_by_name("HS256").prepare_key(value)
    except (UnicodeEncodeError, jwt.InvalidKeyError):
        return False
    return len(key) >= MIN_KEY_BYTES


def verify(token: str | None, keys: Mapping[str, str], audience: Audience, now: float) -> str:
    """Returns the subject of a valid token: who it was given to. ``now`` is Unix time in seconds.

    Raises `Expired` where only its time is over, else `Unauthorized`.
    """
    if not token:
        raise Unauthorized("a token is needed")
    if not isinstance(token, str) or len(token) > MAX_TOKEN_BYTES or not _COMPACT_FORM.fullmatch(token):
        raise Unauthorized(f"the token is not a JWT of at most {MAX_TOKEN_BYTES} bytes")
    claims = _signed_claims(token, keys, audience)
    subject, begins, expires = claims.get("sub"), claims.get("nbf", 0), claims.get("exp")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise Unauthorized("the token does not say in text whose it is")
    if type(begins) is not int or type(expires) is not int:  # a bool is an int, too
        raise Unauthorized("the token's beginning or end is not in whole seconds")
    if now < begins - CLOCK_SKEW_S:
        raise Unauthorized("the token is not valid yet")
    if now > expires + CLOCK_SKEW_S:
        raise Expired(subject)
    return subject


def _signed_claims(token: str, keys: Mapping[str, str], audience: Audience) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            keys[jwt.get_unverified_header(token)["kid"]],
            algorithms=["HS256"],
            audience=audience,
            # Times and subject are checked by `verify`: PyJWT would ask the clock of the machine.
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_sub": False,
            },
        )
    except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
        raise Unauthorized("the token was made for something else") from error
    except (KeyError, jwt.PyJWTError) as error:
        raise Unauthorized("the token was not signed by a known key") from error


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
