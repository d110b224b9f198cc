"""A line or a zone on the picture: drawn once, kept in the address, counted in the browser."""

from __future__ import annotations

import re

import pytest

from tests.web.browser import Page, expect

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _start(page: Page, url: str) -> None:
    await page.goto(url)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Live")


async def test_what_goes_to_and_fro_over_a_line_comes_in_and_goes_out(page: Page, address: str) -> None:
    await _start(page, address + "?line=0.5,0,0.5,1")
    await expect(page.get_by_role("button", name="Line")).to_have_attribute("aria-pressed", "true")
    await expect(page.locator("#crossings")).to_have_text(re.compile(r"^In [1-9]\d* · out [1-9]\d*$"))


async def test_a_kind_that_is_hidden_is_not_counted(page: Page, address: str) -> None:
    await _start(page, address + "?zone=0,0,1,1")
    await expect(page.locator("#crossings")).to_have_text("In 0 · out 0 · inside 1")
    await page.get_by_role("button", name="1 thing").click()
    await expect(page.locator("#crossings")).to_have_text("In 0 · out 0 · inside 0")


async def test_a_zone_is_drawn_over_the_picture_and_removed(page: Page, address: str) -> None:
    await _start(page, address)
    await page.get_by_label("Mirror").uncheck()
    await page.get_by_role("button", name="Zone").click()
    await expect(page.locator("#count-hint")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"\?zone=0\.25,0\.25,0\.75,0\.95$"))  # for who has no pointer
    picture = await page.locator("#picture").bounding_box()
    assert picture is not None
    corners = ((0.1, 0.2), (0.9, 0.8))
    (left, top), (right, bottom) = (
        (picture["x"] + x * picture["width"], picture["y"] + y * picture["height"]) for x, y in corners
    )
    await page.mouse.move(left, top)
    await page.mouse.down()
    await page.mouse.move(left + 40, top + 40)
    await page.mouse.move(right, bottom)
    await page.mouse.up()
    await expect(page).to_have_url(re.compile(r"\?zone=0\.1\d*,0\.2\d*,0\.[89]\d*,0\.[78]\d*$"))
    await expect(page.locator("#count-hint")).to_be_hidden()
    await expect(page.locator("#crossings")).to_have_text(re.compile(r"inside [01]$"))
    drawn = page.url
    await page.mouse.move(left, top)  # it is drawn once: this drag does nothing
    await page.mouse.down()
    await page.mouse.move(right, top + 50)
    await page.mouse.up()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#state")).to_have_text("Ready")
    assert page.url == drawn
    await page.get_by_role("button", name="Remove").click()
    await expect(page).to_have_url(address)
    await expect(page.locator("#crossings")).to_be_empty()
