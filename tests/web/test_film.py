"""A clip is paused and sought, in the same session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.browser import Page, expect

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _film(page: Page) -> Any:
    """How it stands by the newest report, which is made each second."""
    output = page.locator("#diagnostics")
    await output.evaluate("output => { output.closest('details').open = true; output.textContent = ''; }")
    await expect(output).to_contain_text('"film"')
    return json.loads(await output.inner_text())["stats"]["film"]


async def test_a_clip_is_paused_and_goes_on(page: Page, address: str) -> None:
    await page.goto(address + "?source=sample")
    await expect(page.locator("#film")).to_be_hidden()
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#film")).to_be_visible()
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    await page.wait_for_timeout(1000)  # until it is told
    paused = await _film(page)
    assert paused["paused"]
    await expect(page.locator("#state")).to_have_text("Live")
    assert (await _film(page))["time"] == paused["time"]
    await page.get_by_role("button", name="Play", exact=True).click()
    await page.wait_for_timeout(1000)
    assert not (await _film(page))["paused"]


async def test_a_clip_is_sought(page: Page, address: str) -> None:
    await page.goto(address + "?source=sample")
    await page.get_by_role("button", name="Start", exact=True).click()
    await page.get_by_role("button", name="Pause").click()
    position = page.get_by_label("Where in the clip")
    await expect(position).not_to_have_attribute("max", "1")
    await position.fill("4")
    await page.wait_for_timeout(1000)
    assert (await _film(page))["time"] == pytest.approx(4, abs=0.1)


async def test_a_camera_has_nothing_to_pause(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.get_by_role("button", name="1 thing")).to_be_visible()
    await expect(page.locator("#film")).to_be_hidden()
