"""Results that are late: told, and their boxes stay."""

from __future__ import annotations

import pytest

from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_slow_results_are_told_and_their_boxes_stay(page: Page) -> None:
    async with serving(loading(RedThingDetector(0.9))) as address:
        await page.goto(address)
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#transport")).to_have_text("WebRTC")
        await expect(page.locator("#toast-words")).to_contain_text("Results are slow")
        await expect(page.locator("#state")).to_have_text("Live")
        objects = await page.evaluate(
            """async () => {
              const gauges = [...document.querySelectorAll(".gauge")];
              const gauge = gauges.find(({ textContent }) => /Objects/.test(textContent));
              const seen = [];
              for (let i = 0; i < 60; i++) {
                seen.push(gauge.querySelector("output").textContent);
                await new Promise((resolve) => setTimeout(resolve, 100));
              }
              return seen;
            }"""
        )
        assert set(objects) == {"1"}, "it never vanishes"
