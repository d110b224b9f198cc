"""Looks up private names, and holds what the modules of this package share."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

Refuse: TypeAlias = Callable[[str], None]
"""Called with a message if a client sends data that is not allowed; the peer connection then ends."""

AIORTC_VERSION = "1.16.0"

PARSE_ERRORS = (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, struct.error)
"""Exceptions of aiortc for malformed packets."""


class SeamMoved(RuntimeError):
    """The installed aiortc or aioice lacks a private name. The message gives the name."""


def attribute(owner: object, name: str) -> Any:
    """Returns an attribute. Raises `SeamMoved` if it does not exist."""
    try:
        return getattr(owner, name)
    except AttributeError as exc:
        raise SeamMoved(f"{type(owner).__module__}.{type(owner).__name__} no longer has {name}") from exc
