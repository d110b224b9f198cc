"""Signed tokens (JWT, RFC 7519, HS256) and the rotating keys that sign them.

One key set, three audiences, so that no token opens a door that it was not made for. The media server judges
keys and tokens by the same rules (``signaling/auth.py``); ``tests/support/token_vectors.json`` holds both to
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt

from lambdas.errors import Denied, translated

_RELOAD_AFTER = timedelta(minutes=5)
_CLOCK_SKEW_S = 10
_MIN_KEY_BYTES = 32
"""RFC 7518, section 3.2: a key for HS256 is at least as long as its hash."""
_MAX_TOKEN_BYTES = 4 * 1024

_COMPACT_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
"""RFC 7515, section 7.1, with a signature: three parts in base64url without padding."""
_SUBJECT = re.compile(r"[^\ud800-\udfff]+", re.DOTALL)
"""Text that can be written as UTF-8: JSON can spell half of a surrogate pair."""


class Audience(StrEnum):
    """What a token opens."""

    API = "mediaserver-api"
    """The start, status and stop functions: given to users by the operator."""
    SESSION = "mediaserver"
    """``hello`` on ``/ws/inference``: given to users by ``start``."""
    CONTROL = "mediaserver-control"
    """``/drain``: used by these functions alone."""


class InvalidToken(Exception):
    """The token does not let its bearer in; the message says why."""


def mint(keys: Mapping[str, str], audience: Audience, subject: str, now: datetime, life: timedelta) -> str:
    """Signs with the last of ``keys`` (key id → secret); ``kid`` in the header names it."""
    key_id = list(keys)[-1]
    claims = {
        "aud": audience,
        "sub": subject,
        "iat": int(now.timestamp()),
        "exp": int((now + life).timestamp()),
    }
    return jwt.encode(claims, keys[key_id], algorithm="HS256", headers={"kid": key_id})


def verify(keys: Mapping[str, str], audience: Audience, token: str, now: datetime) -> str:
    """Returns the subject of a valid token: who it was given to. Raises `InvalidToken`."""
    if not isinstance(token, str) or len(token) > _MAX_TOKEN_BYTES or not _COMPACT_FORM.fullmatch(token):
        raise InvalidToken(f"not a JWT of at most {_MAX_TOKEN_BYTES} bytes")
    claims = _signed_claims(keys, audience, token)
    subject, begins, expires = claims.get("sub"), claims.get("nbf", 0), claims.get("exp")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise InvalidToken("does not say in text whose it is")
    if type(begins) is not int or type(expires) is not int:  # a bool is an int, too
        raise InvalidToken("its beginning or end is not in whole seconds")
    if now.timestamp() < begins - _CLOCK_SKEW_S:
        raise InvalidToken("not valid yet")
    if now.timestamp() > expires + _CLOCK_SKEW_S:
        raise InvalidToken("expired")
    return subject


def _signed_claims(keys: Mapping[str, str], audience: Audience, token: str) -> dict[str, Any]:
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
        raise InvalidToken("made for something else") from error
    except (KeyError, jwt.PyJWTError) as error:
        raise InvalidToken("not signed by a known key") from error


class Keyring:
    """The keys in Secrets Manager: a JSON object, key id → secret, oldest first. Read again every five
    minutes, so a rotation needs no deployment."""

    def __init__(self, client: Any, secret_id: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._secret_id = secret_id
        self._clock = clock
        self._keys: dict[str, str] = {}
        self._read_at: datetime | None = None

    def keys(self) -> Mapping[str, str]:
        """Raises `Denied` where the secret is not what it should be."""
        now = self._clock()
        if self._read_at is None or now - self._read_at >= _RELOAD_AFTER:
            with translated():
                answer = self._client.get_secret_value(SecretId=self._secret_id)
            # A secret that was put there as bytes has no text.
            self._keys = parse_keys(answer.get("SecretString", ""))
            self._read_at = now
        return self._keys


def parse_keys(text: str) -> dict[str, str]:
    """Reads ``{"key id": "secret", …}``, each secret at least 32 bytes long. Raises `Denied`."""
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError):
        keys = None
    if not isinstance(keys, dict) or not keys or not all(map(_is_secret, keys.values())):
        raise Denied(
            "The signing keys are not a JSON object of key id to secret, each secret a text of at least "
            f"{_MIN_KEY_BYTES} bytes, and no PEM, SSH key or JWK. Tell the operator."
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
    return len(key) >= _MIN_KEY_BYTES
