"""Whole browsers that lack things: the page is ready and live as soon as in the one that lacks nothing."""

from __future__ import annotations

import re

import pytest

from tests.web.browser import Browser, expect
from tests.web.differences import PROFILES, Profile

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLACK = 2
"""A machine that runs the server besides is so much slower than a user's."""


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("source", ["camera", "sample"])
async def test_the_page_goes_live_in(browser: Browser, address: str, profile: Profile, source: str) -> None:
    context = await browser.new_context(
        viewport={"width": profile.width, "height": profile.height}, permissions=["camera"]
    )
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for lacking in profile.lacks:
        await page.add_init_script(lacking)
    await page.goto(address)
    await expect(page.locator("#start-stop")).to_be_enabled(timeout=2000 * SLACK)
    await page.get_by_label("Source").select_option(source)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Live", timeout=8000 * SLACK)
    await expect(page.locator("#transport")).to_have_text(profile.transport)
    inference = page.locator(".gauge", has_text="Inference").locator("output")
    await expect(inference).not_to_have_text(re.compile("^(–|0.0)$"), timeout=8000 * SLACK)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#state")).to_have_text("Ready")
    await context.close()
    assert errors == []
