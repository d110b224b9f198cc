"""Real WebKit, as Debian builds it for GTK: its MiniBrowser, driven by WebDriver on a display of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mediaserver.child_process import free_ports
from tests.support.driven_page import DrivenPage

_START_TIMEOUT_S = 60.0
_COMMAND_TIMEOUT_S = 60.0
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""W3C WebDriver, 12: what marks a reference to an element."""
_ARGUMENTS = (
    "--automation",
    "--enable-media-stream=true",
    "--enable-mediasource=true",
    "--enable-mock-capture-devices=true",
    "--enable-webrtc=true",
    "--media-playback-requires-user-gesture=false",
)
_PLACES = (
    "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
    "/usr/lib/aarch64-linux-gnu/webkit2gtk-4.1/MiniBrowser",
)


class WebDriverError(AssertionError):
    """WebKit cannot do what it was told; the message is its own."""


class WebKitPage(DrivenPage):
    """One window."""

    def __init__(self, http: aiohttp.ClientSession, session_url: str) -> None:
        self._http = http
        self._session_url = session_url

    async def open(self) -> None:
        """Lets scripts take as long as commands."""
        await self._command("timeouts", script=1000 * int(_COMMAND_TIMEOUT_S))

    async def goto(self, url: str) -> None:
        """Loads ``url`` completely."""
        await self._command("url", url=url)

    async def evaluate(self, function: str, argument: object = None) -> Any:
        script = f"""
          const done = arguments[arguments.length - 1];
          Promise.resolve().then(() => ({function})(arguments[0]))
            .then((value) => done([value ?? null]), (error) => done([null, String(error)]));
        """
        value, *error = await self._command("execute/async", script=script, args=[argument])
        if error:
            raise WebDriverError(error[0])
        return value

    async def click(self, selector: str) -> None:
        element = (await self._command("element", using="css selector", value=selector))[_ELEMENT]
        await self._command(f"element/{element}/click")

    async def screenshot(self, path: Path) -> None:
        """Writes what is seen as PNG."""
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(await self._command("screenshot", method="GET")))

    async def _command(self, name: str, *, method: str = "POST", **parameters: object) -> Any:
        timeout = aiohttp.ClientTimeout(total=_COMMAND_TIMEOUT_S)
        body = parameters if method == "POST" else None
        url = f"{self._session_url}/{name}"
        async with self._http.request(method, url, json=body, timeout=timeout) as response:
            value = (await response.json(content_type=None))["value"]
        if response.status != 200:
            raise WebDriverError(f"{name}: {value.get('message') or value.get('error')}")
        return value


@contextlib.asynccontextmanager
async def webkitgtk() -> AsyncIterator[WebKitPage]:
    """A MiniBrowser with a mock camera; skips the test where it, its driver or Xvfb is missing."""
    driver, display = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    browser = os.environ.get("MINIBROWSER") or next(filter(os.path.exists, _PLACES), None)
    if driver is None or display is None or browser is None:
        pytest.skip("no WebKitGTK here (Debian: apt-get install webkit2gtk-driver xvfb)")
    [port] = free_ports(1)
    async with contextlib.AsyncExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="webkit-", ignore_cleanup_errors=True))
        screen = await stack.enter_async_context(_screen(display))
        environment = {**os.environ, "HOME": home, "XDG_RUNTIME_DIR": home, "DISPLAY": screen}
        await stack.enter_async_context(_running(driver, f"--port={port}", env=environment))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield await stack.enter_async_context(_session(http, f"http://127.0.0.1:{port}", browser))


@contextlib.asynccontextmanager
async def _screen(display: str) -> AsyncIterator[str]:
    """The name of a display that nobody sees; Xvfb takes a free one."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as told:
        arguments = ("-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp")
        async with _running(display, *arguments, pass_fds=(write,)):
            os.close(write)
            number = await asyncio.to_thread(told.readline)
            yield f":{int(number)}"


@contextlib.asynccontextmanager
async def _running(program: str, *arguments: str, **options: Any) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(program, *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # what it started is in its group
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@contextlib.asynccontextmanager
async def _session(http: aiohttp.ClientSession, driver_url: str, browser: str) -> AsyncIterator[WebKitPage]:
    options = {"binary": browser, "args": list(_ARGUMENTS)}
    wish = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
    async with asyncio.timeout(_START_TIMEOUT_S):
        while True:
            try:
                async with http.post(f"{driver_url}/session", json=wish) as response:
                    made = (await response.json(content_type=None))["value"]
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.1)
    if "sessionId" not in made:
        raise WebDriverError(f"no session: {made}")
    url = f"{driver_url}/session/{made['sessionId']}"
    try:
        page = WebKitPage(http, url)
        await page.open()
        yield page
    finally:
        with contextlib.suppress(aiohttp.ClientError):
            async with http.delete(url):
                pass
