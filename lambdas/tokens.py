"""Signed tokens (JWT, RFC 7519, HS256) and the rotating keys that sign them.

One key set, three audiences, so that no token opens a door that it was not made for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt

from lambdas.errors import Denied, translated

_RELOAD_AFTER = timedelta(minutes=5)
_CLOCK_SKEW_S = 10


class Audience(StrEnum):
    """What a token opens."""

    API = "mediaserver-api"
    """The start, status and stop functions: given to users by the operator."""
    SESSION = "mediaserver"
    """``hello`` on ``/ws/inference``: given to users by ``start``."""
    CONTROL = "mediaserver-control"
    """``/drain``: used by these functions alone."""


class InvalidToken(Exception):
    """The token is forged, expired, or made for another audience."""


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
    """Returns the subject of a valid token. Raises `InvalidToken`."""
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(
            token,
            key,
            algorithms=["HS256"],
            audience=audience,
            # The time is passed in, so PyJWT's own clock must not be asked.
            options={
                "require": ["exp", "sub"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (KeyError, TypeError, RecursionError, jwt.PyJWTError) as error:
        raise InvalidToken("not signed by us for this purpose") from error
    if not isinstance(claims["exp"], int) or now.timestamp() > claims["exp"] + _CLOCK_SKEW_S:
        raise InvalidToken("expired")
    return str(claims["sub"])


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
                text = self._client.get_secret_value(SecretId=self._secret_id)["SecretString"]
            self._keys = _parse_keys(text)
            self._read_at = now
        return self._keys


def _parse_keys(text: str) -> dict[str, str]:
    try:
        keys = json.loads(text)
    except ValueError:
        keys = None
    if not isinstance(keys, dict) or not keys or not all(isinstance(key, str) for key in keys.values()):
        raise Denied("The signing keys are not a JSON object of key id to secret. Tell the operator.")
    return keys
