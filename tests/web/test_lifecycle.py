"""Start with a GPU machine that is off: page, server and the real functions over a simulated AWS."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.web.browser import Page, chromium, expect
from tests.web.server import RedThingDetector, loading, serving

pytest.importorskip("moto", reason="moto is not installed")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@contextlib.asynccontextmanager
async def _api(server: str) -> AsyncIterator[tuple[str, str]]:
    """Address and access key of the functions, in a process of their own."""
    command = (sys.executable, "-m", "lambdas.dev", "--server", server, "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode().split() for _ in range(2)]
        yield lines[0][1], lines[1][1]
    finally:
        process.terminate()
        await process.wait()


async def _advance(api: str, minutes: int) -> None:
    async with aiohttp.ClientSession() as client, client.post(f"{api}/dev/advance?minutes={minutes}"):
        pass


async def _open(page: Page, address: str, api: str) -> None:
    await page.route("**/config.json", lambda route: route.fulfill(json={"api": api}))
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()


@contextlib.asynccontextmanager
async def _started(red_clip: Path) -> AsyncIterator[tuple[Page, str, contextlib.AsyncExitStack]]:
    """A page that is live on a machine which was off; the API; and what to close to take the server away."""
    async with contextlib.AsyncExitStack() as server, chromium(clip=red_clip) as browser:
        address = await server.enter_async_context(serving(loading(RedThingDetector())))
        async with _api(address) as (api, key):
            # The test stands in for the deployment, whose policy names the API's address.
            context = await browser.new_context(permissions=["camera"], bypass_csp=True)
            page = await context.new_page()
            await _open(page, address, api)
            await expect(page.locator("#cover-title")).to_have_text("The server asks for a valid access key")
            await page.get_by_label("Access key").fill(key)
            await page.keyboard.press("Enter")
            await expect(page.locator("#state")).to_have_text("Waiting for the GPU")
            await expect(page.locator("#cover-advice")).to_contain_text("The GPU machine is starting.")
            await _advance(api, 1)
            await expect(page.locator("#state")).to_have_text("Live", timeout=10_000)
            yield page, api, server


async def test_from_off_to_live_with_a_countdown(red_clip: Path) -> None:
    async with _started(red_clip) as (page, _, _):
        await expect(page.locator("#countdown")).to_have_text(re.compile(r"stops in 1[34]:\d\d"))
        await page.get_by_role("button", name="Keep alive").click()
        await expect(page.locator("#countdown")).to_have_text(re.compile(r"stops in 1[45]:\d\d"))
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_role("button", name="Only my session").click()
        await expect(page.locator("#state")).to_have_text("Ready")


async def test_a_machine_stopped_by_its_schedule_is_told(red_clip: Path) -> None:
    async with _started(red_clip) as (page, api, server):
        await _advance(api, 8 * 60 + 1)  # past the maximum, when it stops in any case
        await server.aclose()
        await expect(page.locator("#cover-title")).to_have_text(
            "The GPU machine was stopped by its schedule", timeout=10_000
        )
        await expect(page.get_by_role("button", name="Start again")).to_be_visible()


async def test_the_service_is_away(page: Page) -> None:
    async with serving(loading(RedThingDetector())) as address:
        await _open(page, address, "http://127.0.0.1:9")
        title = page.locator("#cover-title")
        await expect(title).to_have_text("The service that starts the GPU cannot be reached")
