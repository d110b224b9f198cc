"""What the user sets: kept for the next visit, and in the address; the transport; keys; reading on demand."""

from __future__ import annotations

import pytest

from inference.catalogue import BUILT_IN, find_models
from inference.engines.contract import Engine
from inference.engines.embedded import EmbeddedEngine
from mediaserver.telemetry.metrics import Metrics
from tests.web.browser import Page, chromium, expect
from tests.web.server import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _ready(page: Page, address: str) -> None:
    await page.goto(address)
    await expect(page.locator("#start-stop")).to_be_enabled()


async def test_an_address_says_what_to_show(page: Page, address: str) -> None:
    await _ready(page, address + "?source=sample&models=detect,flow&confidence=60")
    await expect(page.get_by_label("Source")).to_have_value("sample")
    await expect(page.get_by_role("switch", name="Objects")).to_be_checked()
    await expect(page.get_by_role("switch", name="Poses")).not_to_be_checked()
    await expect(page.get_by_role("switch", name="Motion")).to_be_checked()
    await expect(page.get_by_role("slider", name="Confidence")).to_have_value("60")
    await expect(page.locator("#threshold-value")).to_have_text("60%")
    await expect(page.locator("#cover-button")).to_have_text("Play the sample")


async def test_what_is_set_is_there_at_the_next_visit_and_in_the_address(page: Page, address: str) -> None:
    await _ready(page, address)
    await page.get_by_label("Source").select_option("sample")
    await page.get_by_role("switch", name="Poses").uncheck()
    await page.get_by_label("Exact boxes").check()
    await page.get_by_role("slider", name="Confidence").fill("50")
    assert page.url == f"{address}?source=sample&models=detect&confidence=50"
    await _ready(page, address)
    await expect(page.get_by_label("Source")).to_have_value("sample")
    await expect(page.get_by_role("switch", name="Poses")).not_to_be_checked()
    await expect(page.get_by_label("Exact boxes")).to_be_checked()
    await expect(page.get_by_role("slider", name="Confidence")).to_have_value("50")


async def test_the_transport_can_be_chosen_at_any_time(page: Page, address: str) -> None:
    transport = page.locator("#transport")
    objects = page.locator(".gauge", has_text="Objects").locator("output")
    await _ready(page, address + "?transport=jpeg")
    await page.get_by_role("button", name="Start", exact=True).click()
    for chosen, way in (("auto", "WebRTC"), ("jpeg", "JPEG")):
        await expect(transport).to_have_text("JPEG" if chosen == "auto" else "WebRTC")
        await expect(objects).to_have_text("1")
        await expect(page.locator("#toast")).to_be_hidden()  # nothing is blocked
        await page.get_by_label("Transport").select_option(chosen)
        await expect(transport).to_have_text(way)
        await page.wait_for_timeout(4000)  # longer than the server bears silence
        await expect(transport).to_have_text(way)
        await expect(objects).to_have_text("1")
    assert page.url.endswith("?transport=jpeg")


async def test_keys_of_one_letter_can_be_switched_off(page: Page, address: str) -> None:
    await _ready(page, address)
    keys = page.get_by_role("switch", name="Keys of one letter")
    await keys.uncheck()
    await keys.blur()
    mirrored = await page.get_by_label("Mirror").is_checked()
    await page.keyboard.press("m")
    await page.keyboard.press("s")
    await expect(page.locator("#state")).to_have_text("Ready")
    assert await page.get_by_label("Mirror").is_checked() == mirrored
    await keys.check()
    await page.keyboard.press("m")
    assert await page.get_by_label("Mirror").is_checked() != mirrored


async def test_the_focus_stays_where_something_can_be_done(page: Page, address: str) -> None:
    focused = "() => document.activeElement.id"
    await _ready(page, address)
    await page.locator("#cover-button").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#state")).to_have_text("Live")
    assert await page.evaluate(focused) == "start-stop"
    await page.keyboard.press("Enter")
    await expect(page.locator("#state")).to_have_text("Ready")
    assert await page.evaluate(focused) == "start-stop"


async def test_reading_on_demand_shows_that_it_runs_and_that_nothing_was_there(page: Page) -> None:
    async def load(_metrics: Metrics) -> Engine:
        return await EmbeddedEngine.open(find_models(BUILT_IN))

    async with serving(load) as address:
        await _ready(page, address + "?source=camera")  # which shows no text
        read_now = page.get_by_role("button", name="Read now")
        await expect(read_now).to_be_disabled()
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#transport")).to_have_text("WebRTC")
        await read_now.click()
        await expect(page.locator("#reading")).to_have_text("Reading…")
        await expect(page.locator("#reading")).to_have_text("Nothing to read here.")
        await expect(page.locator("#reading")).to_be_hidden()


async def test_without_a_camera_the_sample_is_a_way_on(address: str) -> None:
    async with chromium("--use-fake-ui-for-media-stream") as browser:
        page = await browser.new_page()
        await _ready(page, address)
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#cover-title")).to_have_text("No camera found")
        await expect(page.get_by_role("button", name="Choose a video file")).to_be_visible()
        await page.get_by_role("button", name="Play the sample").click()
        await expect(page.locator("#state")).to_have_text("Live")
