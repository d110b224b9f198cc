"""Tokens and keys: a line with a token, one with a set of keys, then two with the header and the claims of a
token that is signed with a known key."""

from __future__ import annotations

import base64
import hmac

from signaling.auth import Audience, BadKeys, Unauthorized, parse_keys, verify

_KEYS = {"k1": "0123456789abcdef0123456789abcdef"}
_NOW = 1_700_000_000.0


def one_input(data: bytes) -> None:
    token, keys, header, claims, *_ = [*data.split(b"\n"), b"", b"", b""]
    try:
        parse_keys(keys.decode(errors="replace"))
    except BadKeys as error:
        str(error).encode()
    for text in (token.decode(errors="replace"), _signed(header, claims)):
        try:
            verify(text, _KEYS, Audience.SESSION, _NOW).encode()
        except Unauthorized as error:
            str(error).encode()


def _signed(header: bytes, claims: bytes) -> str:
    content = b".".join(map(_base64, (header, claims)))
    return (content + b"." + _base64(hmac.digest(_KEYS["k1"].encode(), content, "sha256"))).decode()


def _base64(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
