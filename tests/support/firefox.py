"""Real Firefox, driven by W3C WebDriver BiDi, which it speaks by itself."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.driven_page import DrivenPage

_START_TIMEOUT_S = 60.0
_COMMAND_TIMEOUT_S = 60.0
_LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
_PREFERENCES: dict[str, bool | int | str] = {
    # A camera that paints colours, and nobody who would have to allow it.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    # It asks nothing of other machines.
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class BidiError(AssertionError):
    """Firefox cannot do what it was told; the message is its own."""


class FirefoxPage(DrivenPage):
    """One tab. ``errors`` has what its scripts threw and nobody caught, and what the console calls errors."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._command_id = 0
        self._tab = ""

    async def open(self, width: int = 1360, height: int = 860) -> None:
        """Begins the session and takes over the tab that is there."""
        await self._command("session.new", capabilities={})
        await self._command("session.subscribe", events=["log.entryAdded"])
        self._tab = (await self._command("browsingContext.getTree"))["contexts"][0]["context"]
        viewport = {"width": width, "height": height}
        await self._command("browsingContext.setViewport", context=self._tab, viewport=viewport)

    async def goto(self, url: str) -> None:
        """Loads ``url`` completely."""
        await self._command("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, function: str, argument: object = None, *, frame: str | None = None) -> Any:
        """As ``DrivenPage`` has it; in the frame whose URL has ``frame`` as a part, where that is given."""
        script = f"(async () => JSON.stringify(await ({function})({json.dumps(argument)})) ?? 'null')()"
        context = self._tab if frame is None else await self._frame(frame)
        return json.loads((await self._evaluate(script, context))["value"])

    async def click(self, selector: str) -> None:
        element = await self._evaluate(f"document.querySelector({json.dumps(selector)})", self._tab)
        origin = {"type": "element", "element": {"sharedId": element["sharedId"]}}
        steps = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        pointer = {"type": "pointer", "id": "mouse", "actions": steps}
        await self._command("input.performActions", context=self._tab, actions=[pointer])

    async def screenshot(self, path: Path) -> None:
        """Writes what is seen as PNG."""
        picture = await self._command("browsingContext.captureScreenshot", context=self._tab)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    async def _frame(self, url_part: str) -> str:
        tree = await self._command("browsingContext.getTree", root=self._tab)
        [found] = [child for child in tree["contexts"][0]["children"] if url_part in child["url"]]
        return str(found["context"])

    async def _evaluate(self, expression: str, context: str) -> dict[str, Any]:
        answer = await self._command(
            "script.evaluate",
            expression=expression,
            target={"context": context},
            awaitPromise=True,
            userActivation=True,
        )
        if answer["type"] == "exception":
            raise BidiError(answer["exceptionDetails"]["text"])
        result: dict[str, Any] = answer["result"]
        return result

    async def _command(self, method: str, **parameters: object) -> dict[str, Any]:
        self._command_id += 1
        await self._socket.send_json({"id": self._command_id, "method": method, "params": parameters})
        async with asyncio.timeout(_COMMAND_TIMEOUT_S):
            while True:
                message = await self._socket.receive_json()
                if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                    self.errors.append(message["params"]["text"] or "")
                if message.get("id") == self._command_id:
                    break
        if message["type"] == "error":
            raise BidiError(f"{method}: {message['message']}")
        result: dict[str, Any] = message["result"]
        return result


@contextlib.asynccontextmanager
async def firefox(**preferences: bool | int | str) -> AsyncIterator[FirefoxPage]:
    """A Firefox of its own, with a fresh profile; skips the test where there is none.

    ``preferences`` are those of ``about:config``, with ``__`` for each dot.
    """
    program = os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("no Firefox in PATH (Debian: apt-get install firefox-esr)")
    chosen = _PREFERENCES | {name.replace("__", "."): value for name, value in preferences.items()}
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in chosen.items()]
        Path(profile, "user.js").write_text("".join(lines))
        process = await asyncio.create_subprocess_exec(
            *(program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0"),
            env={**os.environ, "HOME": profile},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr is not None
        try:
            address = await _listening_at(process.stderr)
            draining = asyncio.create_task(_drain(process.stderr))
            try:
                async with (
                    aiohttp.ClientSession() as http,
                    http.ws_connect(f"{address}/session", max_msg_size=0) as socket,
                ):
                    page = FirefoxPage(socket)
                    await page.open()
                    yield page
            finally:
                draining.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):  # its content processes are in its group
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _listening_at(output: asyncio.StreamReader) -> str:
    said = b""
    async with asyncio.timeout(_START_TIMEOUT_S):
        while line := await output.readline():
            said += line
            if found := _LISTENING.search(line):
                return found[1].decode()
    raise BidiError(f"Firefox ended: {said.decode(errors='replace')}")


async def _drain(output: asyncio.StreamReader) -> None:
    while await output.readline():
        pass
