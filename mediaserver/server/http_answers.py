"""What every answer has: the security headers, and where something is refused, JSON with a code and words."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from mediaserver.settings.types import HttpUrl


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """``{"error": code, "message": message}``; the code is for programs, the message for people."""
    return web.json_response({"error": code, "message": message}, status=status, headers=headers)


def refusal_for(status: int) -> web.Response:
    """In the words of RFC 9110, where nobody knows better ones."""
    known = HTTPStatus(status)
    return refusal(status, known.name.lower(), known.description or known.phrase)


def security_headers(lifecycle_api: HttpUrl | None) -> dict[str, str]:
    """For every answer. ``lifecycle_api`` is the service that the page may ask besides this server."""
    connect = ["'self'", "ws:", "wss:"]
    if lifecycle_api is not None:
        # The machine that it names, at an address not known yet, is asked by HTTP why it refused a socket.
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
