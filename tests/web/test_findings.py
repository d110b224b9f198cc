"""What was found leads: how many of each kind, by buttons that hide and show them."""

from __future__ import annotations

import re

import pytest

from tests.web.browser import Page, expect
from tests.web.test_watch import IS_DRAWN

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_each_kind_is_counted_and_hidden_at_a_touch(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    thing = page.get_by_role("button", name="1 thing")
    await expect(thing).to_be_visible()
    await expect(thing).to_have_attribute("aria-pressed", "true")
    await page.wait_for_function(IS_DRAWN)
    await thing.click()
    await expect(thing).to_have_attribute("aria-pressed", "false")
    await page.wait_for_function(f"() => !({IS_DRAWN})()")
    await expect(thing).to_be_visible()  # it is there all the same
    await thing.click()
    await page.wait_for_function(IS_DRAWN)


async def test_what_is_gone_is_counted_as_none(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.get_by_role("button", name="1 thing")).to_be_visible()
    await page.get_by_role("switch", name="Objects").uncheck()
    await expect(page.get_by_role("button", name="0 things")).to_be_visible()
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("#findings li")).to_have_count(0)


async def test_one_line_says_how_it_stands_and_the_machine_s_numbers_are_folded(
    page: Page, address: str
) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#age")).to_have_text(re.compile(r"^results \d+0 ms old$"))
    await expect(page.locator("#gauges")).to_be_hidden()
    await page.locator("summary").click()
    await expect(page.locator(".gauge", has_text="Display")).to_be_visible()
