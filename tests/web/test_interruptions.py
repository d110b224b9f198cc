"""What happens to laptops: they sleep, and they change their network."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import aiohttp
import pytest

from mediaserver.settings.types import NetworkInterface
from tests.network.stage import stage
from tests.web.browser import Browser, Page, chromium, chromium_path, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLEEP_S = 10.0
"""Longer than the server bears silence (3 s), and than the page bears a silent engine (8 s)."""


async def test_a_laptop_that_slept_goes_on_by_itself(red_clip: Path) -> None:
    async with serving(loading(RedThingDetector())) as address, chromium(clip=red_clip) as browser:
        page = await _live(browser, address)
        session = await _session(page)
        processes = await _processes(browser)
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            await asyncio.sleep(SLEEP_S)
            ended = await _metric(address, r'connections_ended_total\{reason="\w+_timeout"\}')
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)
        assert ended == 1
        await _goes_on(page, address, session)


async def test_a_changed_network_costs_no_session(red_clip: Path, tmp_path: Path) -> None:
    path = chromium_path()
    with stage(tmp_path) as link:
        interface = (NetworkInterface(link.server),)
        async with serving(
            loading(RedThingDetector()), host=link.server, allow_anonymous=True, ice_interfaces=interface
        ) as address:
            camera_allowed = f"--unsafely-treat-insecure-origin-as-secure={address.rstrip('/')}"
            async with chromium(camera_allowed, clip=red_clip, path=link.browser(path)) as browser:
                page = await _live(browser, address)
                session = await _session(page)
                link.change()
                await _goes_on(page, address, session)


async def _live(browser: Browser, address: str) -> Page:
    context = await browser.new_context(permissions=["camera"])
    page = await context.new_page()
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#transport")).to_have_text("WebRTC")
    await expect(page.locator("#state")).to_have_text("Live")
    return page


async def _session(page: Page) -> str:
    await page.locator("details").evaluate("details => { details.open = true }")
    diagnostics = page.locator("#diagnostics")
    await expect(diagnostics).to_contain_text('"session": "')
    found = re.search(r'"session": "([^"]+)"', await diagnostics.inner_text())
    assert found is not None
    return found[1]


async def _processes(browser: Browser) -> list[int]:
    devtools = await browser.new_browser_cdp_session()
    return [process["id"] for process in (await devtools.send("SystemInfo.getProcessInfo"))["processInfo"]]


async def _metric(address: str, pattern: str) -> float:
    """The sum of a counter over the labels that fit."""
    async with aiohttp.ClientSession() as client, client.get(f"{address}metrics") as response:
        return sum(map(float, re.findall(rf"{pattern} ([0-9.e+]+)$", await response.text(), re.MULTILINE)))


async def _goes_on(page: Page, address: str, session: str) -> None:
    """Live again, without a touch, with boxes and the session of before."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(60):
        while not await _metric(address, "sessions_resumed_total"):  # noqa: ASYNC110 - it is in the server
            await asyncio.sleep(0.1)
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#transport")).to_have_text("WebRTC")
    print(f"live again after {asyncio.get_running_loop().time() - began:.1f} s")
    objects = page.locator(".gauge", has_text="Objects").locator("output")
    await expect(objects).to_have_text("1")
    assert await _session(page) == session
