"""Reads the body of a request, bounded in size and time."""

from __future__ import annotations

import asyncio

from aiohttp import web

from mediaserver.server.http_answers import refusal

_BODY_TIMEOUT_S = 10.0


class BodyRefused(Exception):
    """The body is too large or too slow; ``answer`` is the response."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


async def read_body(request: web.Request, limit: int) -> bytes:
    """Reads the whole body, of ``limit`` bytes at most, within 10 s. Raises `BodyRefused`."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while len(body) <= limit and (chunk := await request.content.readany()):
                body += chunk
    except TimeoutError:
        raise BodyRefused(refusal(408, "too_slow", f"the body may take {_BODY_TIMEOUT_S:g} s")) from None
    if len(body) > limit:
        raise BodyRefused(refusal(413, "too_large", f"the body may have {limit} bytes"))
    return bytes(body)
