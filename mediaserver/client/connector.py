"""How the Python client gets its connections, the first and those after it."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp

from mediaserver.client.errors import Unreachable
from mediaserver.client.link import Link
from signaling.messages import Hello, ServerMessage, Welcome

_PAUSE_S, _LAST_PAUSE_S = 0.2, 2.0
_LEAST_TIMEOUT_S, _TIMEOUT_S = 0.7, 10.0
_TIMES_AS_LONG = 4.0
"""As the last connection took. The kernel repeats its request after 1, 3, 7 … seconds. A new attempt asks at
once, and so finds a healed network sooner."""
_QUICK_ATTEMPTS = 12
"""For each that takes its time: the network may have become another."""


class Connector:
    """Connects to ``url``. Use ``async with``. ``on_message`` gets what comes over the links.

    ``node`` is the server, of several behind one address, that has the client's session.
    """

    def __init__(self, url: str, on_message: Callable[[ServerMessage], None]) -> None:
        self._url = url
        self._on_message = on_message
        self._http: aiohttp.ClientSession | None = None
        self._took_s = 0.0
        self.node: str | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def connect(self, hello: Hello, timeout_s: float = _TIMEOUT_S) -> tuple[Link, Welcome]:
        """Raises `Unreachable`, `Refused`."""
        assert self._http is not None
        link = Link(self._http, self._url, self._on_message, node=self.node, timeout_s=timeout_s)
        began = time.monotonic()
        try:
            welcome = await link.open(hello)
        except BaseException:
            await link.close()
            raise
        self._took_s = time.monotonic() - began
        self.node = welcome.node or None
        return link, welcome

    async def connect_first(
        self, hello: Callable[[], Hello], wait_s: float, on_notice: Callable[[str], None]
    ) -> tuple[Link, Welcome]:
        """As `connect`; where nobody lets the client in, waits for ``wait_s`` at most, and says so."""
        began = time.monotonic()
        try:
            return await self.connect(hello())
        except Unreachable as exc:
            left_s = wait_s - (time.monotonic() - began)
            if left_s <= 0:
                raise
            on_notice(f"{exc}; waiting for {wait_s:g} s at most")
            return await self.connect_patiently(hello, exc.retry_after_s, left_s)

    async def connect_patiently(
        self, hello: Callable[[], Hello], pause_s: float, patience_s: float
    ) -> tuple[Link, Welcome]:
        """Tries until ``patience_s`` have passed, a last time then. The jitter keeps clients of one server
        apart. Raises as `connect`."""
        give_up_at = time.monotonic() + patience_s
        backoff_s, pause_s = _PAUSE_S, max(pause_s, _PAUSE_S)
        for attempt in itertools.count():
            left_s = max(0.0, give_up_at - time.monotonic())
            await asyncio.sleep(min(pause_s * random.uniform(0.8, 1.2), left_s))
            is_quick = attempt % (_QUICK_ATTEMPTS + 1) < _QUICK_ATTEMPTS
            quick_s = max(_LEAST_TIMEOUT_S, _TIMES_AS_LONG * self._took_s)
            try:
                return await self.connect(hello(), quick_s if is_quick else _TIMEOUT_S)
            except Unreachable as exc:
                pause_s = max(backoff_s, exc.retry_after_s)
                if exc.timed_out:
                    pause_s = _PAUSE_S / 2
                elif exc.answered and self.node is not None:
                    pause_s, self.node = 0.0, None  # the node is gone, or has no place: another may have one
                else:  # who answers is asked less and less
                    backoff_s = min(2 * backoff_s, _LAST_PAUSE_S)
                if time.monotonic() >= give_up_at:
                    raise
        raise AssertionError("unreachable")
