"""The kind of a setting, its bounds, and its allowed values in words, all from its type."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from mediaserver.settings.types import (
    CdnPattern,
    Host,
    HostPort,
    HttpUrl,
    IceUrl,
    IpAddress,
    IpNetwork,
    ModelMirror,
    NetworkInterface,
    NodeName,
    Origin,
    Secret,
    TokenKeys,
)
from signaling.auth import MIN_KEY_BYTES


def meta_of(hint: Any) -> Meta:
    """The bounds and the description in a hint."""
    return next((item for item in getattr(hint, "__metadata__", ()) if isinstance(item, Meta)), Meta())


def kind_of(hint: Any) -> Any:
    """The type in a hint, without its annotation and its ``None``."""
    kind = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    if typing.get_origin(kind) in (types.UnionType, typing.Union):  # the latter of a `Literal`
        kind = next(arm for arm in typing.get_args(kind) if arm is not type(None))
    return kind


def is_list(hint: Any) -> bool:
    """Whether the setting takes several values."""
    return typing.get_origin(kind_of(hint)) is tuple


_NOUNS = {
    int: "a whole number",
    float: "a number",
    Path: "a path",
    IpAddress: "an IPv4 or IPv6 address",
    IpNetwork: "networks like 10.0.0.0/8 and addresses",
    NetworkInterface: "interface names, addresses and networks like 10.0.0.0/8",
    IceUrl: "URLs like stun:host:port and turn:host:port?transport=udp",
    Origin: "origins like https://example.org",
    NodeName: "1 to 64 letters, digits and any of - . _ ~",
    Host: "an IP address or a host name",
    HostPort: "addresses like 10.0.0.7:8001",
    HttpUrl: "a URL like https://example.org",
    CdnPattern: "a URL with {package}, {version} and {path} in it",
    ModelMirror: "a folder, or a URL like https://example.org/models",
    Secret: "text",
    TokenKeys: f'a JSON object like {{"key id": "secret"}}, secrets of at least {MIN_KEY_BYTES} bytes',
}


def allowed_values(hint: Any) -> str:
    """The allowed values of a setting, in words."""
    kind = kind_of(hint)
    if is_list(hint):
        return f"{_NOUNS[typing.get_args(kind)[0]]}, separated by commas (in TOML: an array)"
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    if kind is bool:
        return "true or false"
    meta = meta_of(hint)
    noun = _NOUNS.get(kind, "text")
    if meta.ge is not None and meta.le is not None:
        return f"{noun} from {meta.ge:g} to {meta.le:g}"
    return noun
