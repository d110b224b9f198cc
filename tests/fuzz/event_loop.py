"""Runs a coroutine so that what asyncio only logs is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Unhandled(Exception):
    """An exception that reached nobody but the event loop."""


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Raises `Unhandled` for an exception of a task or callback."""
    unhandled: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        await coroutine

    asyncio.run(watched())
    for context in unhandled:
        raise Unhandled(context["message"]) from context.get("exception")
