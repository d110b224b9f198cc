"""The page watches a stream that an encoder publishes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.server_address import ServerAddress
from tests.support.whip_client import whip_client
from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Address(ServerAddress):
    def __init__(self, http_url: str) -> None:
        self.http_url = http_url


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address() -> AsyncIterator[Address]:
    async with serving(loading(RedThingDetector())) as url:
        yield Address(url)


IS_DRAWN = """
    () => {
        const canvas = document.querySelector("iframe").contentDocument.getElementById("overlay");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.some((value, at) => at % 4 === 3 && value > 0);
    }
"""
"""Whether something stands on the overlay, which is transparent elsewhere."""


async def test_what_is_found_in_another_s_stream_is_drawn_on_a_blank(page: Page, address: Address) -> None:
    await page.goto(f"{address.http_url}?watch=door")
    await page.get_by_role("button", name="Start", exact=True).click()
    nobody = "Nobody publishes this stream now"
    await expect(page.locator("#state")).to_have_text("Paused")
    await expect(page.locator("#toast-words")).to_contain_text(nobody)
    assert await page.evaluate(IS_DRAWN) is False
    async with whip_client(address, "/whip/door") as publisher:
        await page.wait_for_function(IS_DRAWN)
        await expect(page.locator("#state")).to_have_text("Live")
        await expect(page.locator("#toast")).to_be_hidden()
        picture = page.frame_locator("iframe").locator("#video")
        assert await picture.evaluate("video => [video.videoWidth, video.videoHeight]") == [320, 240]
        await publisher.delete()
        await expect(page.locator("#toast-words")).to_contain_text(nobody)
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("#start-stop")).to_have_text("Start")


async def test_what_cannot_be_a_name_is_told_with_the_rule(page: Page, address: Address) -> None:
    await page.goto(f"{address.http_url}?watch=a%20b")
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#cover-title")).to_have_text("This is not the name of a stream")
    await expect(page.locator("#cover-advice")).to_contain_text("1 to 64 letters, digits")
