"""Tokens and key sets, good and bad, that every verifier of the project must judge alike.

They are written down in ``token_vectors.json``. A token there is a recipe: what differs from a good one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

NOW = 1_700_000_000
"""Unix time in seconds at which tokens are looked at, unless their vector says otherwise."""


class Refusal(Enum):
    """Why a token does not let its bearer in."""

    EXPIRED = "expired"
    """Only its time is over."""
    INVALID = "invalid"


Outcome: TypeAlias = str | Refusal
"""The subject of a token that is accepted, else why it is not."""


class TokenVector(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One token, what it is shown to, and what must come of it."""

    name: str
    subject: str | None = None
    refused: Refusal | None = None
    now: float = NOW
    keys: dict[str, str] | None = None
    """What the verifier knows, where that is not `KEYS`."""

    token: Any = msgspec.UNSET
    """The token as it is; else it is made by the fields below."""
    header: dict[str, Any] = {}
    """Changes to the header of a good token."""
    claims: dict[str, Any] = {}
    """Changes to the claims of a good token."""
    without: tuple[str, ...] = ()
    """Members of header or claims that are left out."""
    header_json: str | None = None
    """In place of the header; ``header_times`` in a row."""
    header_times: int = 1
    claims_json: str | None = None
    """In place of the claims; ``claims_times`` in a row."""
    claims_times: int = 1
    length: int | None = None
    """Of the whole token, reached by one more claim."""
    secret: str | None = None
    """Signs; else the key that the header names."""
    hash: str = "sha256"
    signature: str | None = None
    """In place of the signature."""
    around: str = "{}"
    """The text that the token is put into."""

    @property
    def expected(self) -> Outcome:
        outcome = self.subject if self.refused is None else self.refused
        assert outcome is not None, self.name
        return outcome

    def made_for(self, audience: str) -> Any:
        """The token; ``audience`` is what a good one would name."""
        if self.token is not msgspec.UNSET:
            return self.token
        header = self._changed({"alg": "HS256", "kid": "k2"}, self.header)
        claims = self._changed({"aud": audience, "sub": "ada", "exp": NOW + 60}, self.claims)
        named = KEYS.get(str(header.get("kid")), KEYS["k2"])
        secret = named if self.secret is None else self.secret
        header_json = self._text(self.header_json, self.header_times, header)
        token = signed(
            header_json, self._text(self.claims_json, self.claims_times, claims), secret, self.hash
        )
        if self.length is not None:
            frame = len(signed(header_json, "", secret))
            claims["more"] = ""
            room = (self.length - frame) * 3 // 4 - len(json.dumps(claims))
            token = signed(header_json, json.dumps(claims | {"more": "x" * room}), secret)
            assert len(token) == self.length, self.name
        if self.signature is not None:
            token = f"{token.rpartition('.')[0]}.{self.signature}"
        return self.around.format(token)

    def _changed(self, good: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in (good | changes).items() if name not in self.without}

    @staticmethod
    def _text(given: str | None, times: int, members: dict[str, Any]) -> str:
        return json.dumps(members) if given is None else given * times


class KeySetVector(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The text of a key set, and whether it may be used."""

    name: str
    usable: bool
    text: str
    times: int = 1
    """So often in a row."""

    @property
    def whole(self) -> str:
        return self.text * self.times


def signed(header: str, claims: str, secret: str, hash_name: str = "sha256") -> str:
    """A token in compact form (RFC 7515, section 7.1), whatever ``header`` and ``claims`` are."""
    signing_input = f"{_base64url(header.encode())}.{_base64url(claims.encode())}"
    signature = hmac.digest(secret.encode(), signing_input.encode(), getattr(hashlib, hash_name))
    return f"{signing_input}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: dict[str, str]
    tokens: list[TokenVector]
    key_sets: list[KeySetVector]


# json reads what is no JSON to others: NaN, and halves of surrogate pairs.
_FILE = msgspec.convert(json.loads(Path(__file__).with_suffix(".json").read_text()), _File)
KEYS = _FILE.keys
TOKENS = _FILE.tokens
KEY_SETS = _FILE.key_sets
