"""Access to sessions: signed tokens and the list of allowed origins. Pure functions.

Tokens are JWTs (RFC 7519) signed with HS256, or with EdDSA (RFC 8037), for which the server needs no secret.
They name their audience and expire soon. Keys rotate: several are accepted, and the header's ``kid`` names
the key that signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signaling.messages import MAX_TOKEN_BYTES

MIN_KEY_BYTES = 32
"""RFC 7518, section 3.2: a key for HS256 is at least as long as its hash."""
CLOCK_SKEW_S = 10

Key: TypeAlias = str | Ed25519PublicKey
"""The secret of HS256, or the public key of EdDSA."""

_COMPACT_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
"""RFC 7515, section 7.1, with a signature: three parts in base64url without padding."""
_SUBJECT = re.compile(r"[^\ud800-\udfff]+", re.DOTALL)
"""Text that can be written as UTF-8: JSON can spell half of a surrogate pair."""


class Audience(StrEnum):
    """What a token opens: this and nothing else."""

    SESSION = "mediaserver"
    """A session, by ``hello`` or ``POST /whip``; and watching."""
    WATCH = "mediaserver-watch"
    """Watching, by ``hello`` with ``watch``."""
    CONTROL = "mediaserver-control"
    """``POST /drain``."""
    RESUME = "mediaserver-resume"
    """``hello.resume``: the session that it names goes on (`signaling.continuation`)."""


class Unauthorized(Exception):
    """The token is rejected. The message gives the reason, and may be shown to the bearer."""


class Expired(Unauthorized):
    """The token has expired, and is valid otherwise. ``subject`` is its claim ``sub``."""

    def __init__(self, subject: str) -> None:
        super().__init__("the token has expired")
        self.subject = subject


@dataclass(frozen=True, slots=True)
class Bearer:
    """The bearer of a valid token."""

    subject: str
    watch: tuple[str, ...] = ()
    """The claim ``watch``: subjects whose sessions the bearer may watch besides their own."""
    token_id: str | None = None
    """The claim ``jti``: the token begins one session on a server, and no more."""
    expires: int = 0
    """When the token expires, in Unix seconds."""


class BadKeys(ValueError):
    """The configured keys cannot be used. The message gives the reason and shows no key."""


def parse_keys(text: str) -> dict[str, Key]:
    """Reads ``{"key id": key, …}``: each a secret of at least `MIN_KEY_BYTES`, or a public key of Ed25519 as
    a JWK. Raises `BadKeys`."""
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadKeys("the keys are not JSON") from error
    if not isinstance(keys, dict) or not keys:
        raise BadKeys('the keys must be a JSON object like {"key id": "secret"} with at least one entry')
    return {key_id: _key(key_id, value) for key_id, value in keys.items()}


def _key(key_id: str, value: object) -> Key:
    if isinstance(value, dict):
        return _public_key(key_id, value)
    if not isinstance(value, str) or not _is_secret(value):
        raise BadKeys(
            f"key {key_id!r} must be a text of at least {MIN_KEY_BYTES} bytes, and no PEM, SSH key or JWK; "
            "or an object, the public key of Ed25519 as a JWK"
        )
    return value


def _public_key(key_id: str, jwk: dict[str, Any]) -> Ed25519PublicKey:
    """RFC 8037, section 2."""
    if "d" in jwk:
        raise BadKeys(f"key {key_id!r} is a private key: the server needs the public one alone")
    try:
        if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
            raise jwt.InvalidKeyError
        key = jwt.get_algorithm_by_name("EdDSA").from_jwk(jwk)
    except (jwt.InvalidKeyError, TypeError, ValueError, AttributeError) as error:
        raise BadKeys(f'key {key_id!r} must be like {{"kty": "OKP", "crv": "Ed25519", "x": …}}') from error
    assert isinstance(key, Ed25519PublicKey)
    return key


def _is_secret(value: object) -> bool:
    """Whether PyJWT accepts it as a key for HS256. PyJWT rejects keys of other kinds."""
    if not isinstance(value, str):
        return False
    try:
        key: bytes = jwt.get_algorithm_by_name("HS256").prepare_key(value)
    except (UnicodeEncodeError, jwt.InvalidKeyError):
        return False
    return len(key) >= MIN_KEY_BYTES


def can_sign(keys: Mapping[str, Key]) -> bool:
    """Whether there is a secret among them: public keys sign nothing."""
    return any(isinstance(key, str) for key in keys.values())


def sign(
    subject: str, keys: Mapping[str, Key], audience: Audience, expires: float, **claims: int | str
) -> str:
    """A token for ``audience`` until ``expires``, Unix time in seconds. The first secret of ``keys`` signs
    it: there must be one (`can_sign`). ``claims`` are further claims."""
    key_id, secret = next((key_id, key) for key_id, key in keys.items() if isinstance(key, str))
    claims = {"aud": audience, "sub": subject, "exp": int(expires), **claims}
    return jwt.encode(claims, secret, algorithm="HS256", headers={"kid": key_id})


def verify(
    token: str | None, keys: Mapping[str, Key], audience: Audience, now: float, region: str | None = None
) -> str:
    """Returns the subject of a valid token; as `identify`."""
    return identify(token, keys, {audience}, now, region).subject


def identify(
    token: str | None,
    keys: Mapping[str, Key],
    audiences: Collection[Audience],
    now: float,
    region: str | None = None,
) -> Bearer:
    """Returns the bearer of a valid token for one of ``audiences``; as `claims_of`. A token with the claim
    ``region`` is valid in that ``region`` only."""
    claims = claims_of(token, keys, audiences, now)
    watch, token_id = claims.get("watch", []), claims.get("jti")
    if not isinstance(watch, list) or not all(isinstance(each, str) for each in watch):
        raise Unauthorized("the token's claim watch is no list of subjects")
    if token_id is not None and not isinstance(token_id, str):
        raise Unauthorized("the token's claim jti is no text")
    if claims.get("region", region) != region:
        raise Unauthorized("the token was made for another region")
    return Bearer(claims["sub"], tuple(watch), token_id, claims["exp"])


def claims_of(
    token: str | None, keys: Mapping[str, Key], audiences: Collection[Audience], now: float
) -> dict[str, Any]:
    """Returns the claims of a valid token for one of ``audiences``; ``sub`` is text. ``now`` is Unix time in
    seconds.

    Raises `Expired` if the token has expired and is valid otherwise, else `Unauthorized`.
    """
    if not token:
        raise Unauthorized("a token is needed")
    if not isinstance(token, str) or len(token) > MAX_TOKEN_BYTES or not _COMPACT_FORM.fullmatch(token):
        raise Unauthorized(f"the token is not a JWT of at most {MAX_TOKEN_BYTES} bytes")
    claims = _signed_claims(token, keys, audiences)
    subject, begins, expires = claims.get("sub"), claims.get("nbf", 0), claims.get("exp")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise Unauthorized("the token does not say in text whose it is")
    if type(begins) is not int or type(expires) is not int:  # a bool is an int, too
        raise Unauthorized("the token's beginning or end is not in whole seconds")
    if now < begins - CLOCK_SKEW_S:
        raise Unauthorized("the token is not valid yet")
    if now > expires + CLOCK_SKEW_S:
        raise Expired(subject)
    return claims


def _signed_claims(token: str, keys: Mapping[str, Key], audiences: Collection[Audience]) -> dict[str, Any]:
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(
            token,
            key,
            # The key decides, not the header of the token (RFC 8725, section 3.1).
            algorithms=["HS256" if isinstance(key, str) else "EdDSA"],
            audience=audiences,
            # `claims_of` checks times and subject: PyJWT would ask the clock of the machine.
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
        raise Unauthorized("the token was made for something else") from error
    except (KeyError, jwt.PyJWTError) as error:
        raise Unauthorized("the token was not signed by a known key") from error


def origin_allowed(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a page from ``origin`` (the header, RFC 6454) may open a socket on ``host`` (the header).

    An empty list allows the pages of the same host alone. The scheme is not compared: a proxy may end TLS.
    Programs send no origin and are let in. The list keeps foreign pages from using a user's browser; a
    program can write any header.
    """
    if origin is None:
        return True
    if allowed:
        return origin in allowed
    authority = origin.partition("://")[2]
    return authority != "" and authority.lower() == host.lower()
