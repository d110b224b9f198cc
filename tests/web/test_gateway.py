"""The page as users get it in production: from a real nginx, over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaserver.child_process import free_ports
from tests.support.gateway import gateway
from tests.web.browser import Browser, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_page_waits_for_a_server_that_is_away_and_goes_live_when_it_comes(
    browser: Browser, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    context = await browser.new_context(permissions=["camera"], ignore_https_errors=True)
    page = await context.new_page()
    refused: list[str] = []
    page.on(
        "console",
        lambda message: refused.append(message.text) if "Content Security" in message.text else None,
    )
    async with gateway(tmp_path, [port]) as front:
        await page.goto(front.url)
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#toast-words")).to_contain_text("The server cannot be reached")
        async with serving(loading(RedThingDetector()), port=port):
            await expect(page.locator("#state")).to_have_text("Live")
            await expect(page.locator("#transport")).to_have_text("WebRTC")
            await context.close()
    assert refused == []
