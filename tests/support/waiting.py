"""Waiting for what happens soon, without guessing how soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Returns when ``condition`` holds; fails the test when it does not within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {timeout_s:g} s"
        await asyncio.sleep(0.02)
