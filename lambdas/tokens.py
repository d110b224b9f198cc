"""Signed tokens (JWT, RFC 7519, HS256) and the rotating keys that sign them.

One key set serves three audiences; a token is good for its audience alone. The media server checks keys and
tokens by the same rules (``signaling/auth.py``). ``tests/support/token_vectors.json`` tests both.
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

_RELOAD_AFTER = timedelta(seconds=30)
"""API Gateway caches verdicts as long, so a revocation holds within a minute."""
_CLOCK_SKEW_S = 10
_MIN_KEY_BYTES = 32
"""RFC 7518, section 3.2: a key for HS256 is at least as long as its hash."""
_MAX_TOKEN_BYTES = 4 * 1024

COSTS_CLAIM = "costs"
"""True: its bearer may see the machine's costs."""
REVOKED = "revoked"
"""Beside the keys in the secret: revoked names, and the time of each revocation in Unix seconds."""

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
    """The token is rejected; the message gives the reason."""


def mint(
    keys: Mapping[str, str],
    audience: Audience,
    subject: str,
    now: datetime,
    life: timedelta,
    *,
    sees_costs: bool = False,
) -> str:
    """Signs with the last of ``keys`` (key id → secret); ``kid`` in the header names it."""
    key_id = list(keys)[-1]
    claims: dict[str, Any] = {
        "aud": audience,
        "sub": subject,
        "iat": int(now.timestamp()),
        "exp": int((now + life).timestamp()),
    }
    if sees_costs:
        claims[COSTS_CLAIM] = True
    return jwt.encode(claims, keys[key_id], algorithm="HS256", headers={"kid": key_id})


def verify(keys: Mapping[str, str], audience: Audience, token: str, now: datetime) -> str:
    """Returns the subject of a valid token. Raises `InvalidToken`."""
    return str(verified_claims(keys, audience, token, now)["sub"])


def verified_claims(keys: Mapping[str, str], audience: Audience, token: str, now: datetime) -> dict[str, Any]:
    """Returns the claims of a valid token. Raises `InvalidToken`."""
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
    return claims


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
    """The keys in Secrets Manager: a JSON object, key id → secret, oldest first, and the revoked names.

    They are read again every half a minute, so rotations and revocations need no deployment.
    """

    def __init__(self, client: Any, secret_id: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._secret_id = secret_id
        self._clock = clock
        self._keys: dict[str, str] = {}
        self._revoked: dict[str, int] = {}
        self._read_at: datetime | None = None

    def keys(self) -> Mapping[str, str]:
        """Returns the keys. Raises `Denied` if the secret cannot be used."""
        self._read()
        return self._keys

    def check_not_revoked(self, claims: Mapping[str, Any]) -> None:
        """Raises `InvalidToken` if the token was made before its bearer was revoked.

        A token without the time of its making (``iat``) counts as older. Raises `Denied` as `keys` does.
        """
        self._read()
        since, made = self._revoked.get(claims["sub"]), claims.get("iat")
        if since is not None and (not isinstance(made, int) or made <= since):
            raise InvalidToken("revoked")

    def _read(self) -> None:
        now = self._clock()
        if self._read_at is not None and now - self._read_at < _RELOAD_AFTER:
            return
        with translated():
            answer = self._client.get_secret_value(SecretId=self._secret_id)
        # A secret of bytes has no text.
        self._keys, self._revoked = parse_secret(answer.get("SecretString", ""))
        self._read_at = now


def parse_secret(text: str) -> tuple[dict[str, str], dict[str, int]]:
    """Returns the keys, and each revoked name with its time. Raises `Denied`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    revoked = content.pop(REVOKED, {}) if isinstance(content, dict) else {}
    if not isinstance(revoked, dict) or not all(type(since) is int for since in revoked.values()):
        # An error, as passing it over would let in revoked names.
        raise Denied(
            f'"{REVOKED}" in the secret is not an object of name to Unix seconds. Tell the operator.'
        )
    return parse_keys(json.dumps(content)), revoked


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
