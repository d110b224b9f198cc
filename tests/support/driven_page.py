"""What a page says, in whichever browser a protocol for machines drives."""

from __future__ import annotations

import abc
import asyncio
import json
import re
from typing import Any

_TIMEOUT_S = 60.0
"""Only a test that fails waits as long."""


class DrivenPage(abc.ABC):
    """A page in which scripts can be run."""

    @abc.abstractmethod
    async def evaluate(self, function: str, argument: object = None) -> Any:
        """What a JavaScript function, given ``argument``, returns or resolves to, as JSON would have it."""

    @abc.abstractmethod
    async def click(self, selector: str) -> None:
        """Clicks an element, as a user does."""

    async def text(self, selector: str) -> str:
        """What an element says."""
        return str(await self.evaluate(f"() => document.querySelector({json.dumps(selector)}).textContent"))

    async def says(self, selector: str, pattern: str, timeout_s: float = _TIMEOUT_S) -> str:
        """Waits until the whole text of an element fits; returns it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while re.fullmatch(pattern, text := await self.text(selector)) is None:
            assert loop.time() < deadline, f"{selector} says {text!r}, not {pattern!r}"
            await asyncio.sleep(0.1)
        return text

    async def choose(self, selector: str, value: str) -> None:
        """An option of a list, as a user chooses it."""
        await self.evaluate(
            """([selector, value]) => {
              const list = document.querySelector(selector);
              list.value = value;
              list.dispatchEvent(new Event("change"));
            }""",
            [selector, value],
        )
