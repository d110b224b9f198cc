"""Security headers of all responses, and JSON bodies of refusals with a code and a message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from mediaserver.settings.types import HttpUrl
from signaling.messages import EXPECTED_HEADER


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Makes ``{"error": code, "message": message}``: the code is for programs, the message for people."""
    return web.json_response({"error": code, "message": message}, status=status, headers=headers)


def try_later(
    code: str, retry_after_s: float, headers: Mapping[str, str], *, expected_s: int | None = None
) -> web.Response:
    """Makes a 503 response with the time for the next attempt.

    ``expected_s`` is the time in seconds until an attempt should succeed, if known. Both are also in headers,
    as a client that opens a WebSocket sees no body.
    """
    said: dict[str, float | str] = {"error": code, "retry_after_s": retry_after_s}
    also = {"Retry-After": str(math.ceil(retry_after_s)), **headers}
    if expected_s is not None:
        said["expected_s"] = expected_s
        also[EXPECTED_HEADER] = str(expected_s)
    return web.json_response(said, status=503, headers=also)


def refusal_for(status: int) -> web.Response:
    """Makes a refusal with the standard description of ``status``, for general errors."""
    known = HTTPStatus(status)
    return refusal(status, known.name.lower(), known.description or known.phrase)


def security_headers(lifecycle_api: HttpUrl | None) -> dict[str, str]:
    """Returns the headers of all responses. ``lifecycle_api`` is a further service that the page may use."""
    connect = ["'self'", "ws:", "wss:"]
    if lifecycle_api is not None:
        # The page asks the machine that this service starts, at any address, why it refused a socket.
        connect += [lifecycle_api.origin, "https:", "http://127.0.0.1:*", "http://localhost:*"]
    return {
        "Content-Security-Policy": (
            "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
            f"connect-src {' '.join(connect)}; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "Server": "mediaserver",  # no versions
    }
