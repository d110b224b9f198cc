"""The engine in its iframe: lost and started again, absent while the server is away; its session goes on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

_RELOAD = "() => document.querySelector('#picture iframe').contentWindow.location.reload()"


async def _start(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await _finds_the_thing(page)


async def _finds_the_thing(page: Page) -> None:
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#transport")).to_have_text("WebRTC")
    objects = page.locator(".gauge", has_text="Objects").locator("output")
    await expect(objects).to_have_text("1")


async def _diagnostics(page: Page) -> Any:
    await page.locator("details").evaluate("details => { details.open = true }")
    await expect(page.locator("#diagnostics")).to_contain_text('"session": "')
    await asyncio.sleep(1.1)  # it is written anew each second
    return json.loads(await page.locator("#diagnostics").inner_text())


async def _lost(page: Page) -> None:
    """Waits until the page has noticed."""
    await page.wait_for_function("() => document.body.dataset.state === 'reconnecting'", polling=20)


async def test_an_engine_that_is_another_is_noticed_and_goes_on_with_the_session(
    page: Page, address: str
) -> None:
    await _start(page, address)
    session = (await _diagnostics(page))["session"]
    await page.evaluate(_RELOAD)
    await page.wait_for_function(
        "() => JSON.parse(document.querySelector('#diagnostics').textContent).history"
        ".some(({ code }) => code === 'engine_lost')"
    )
    await _finds_the_thing(page)
    assert (await _diagnostics(page))["session"] == session


async def test_an_engine_that_is_silent_is_started_again(page: Page, address: str) -> None:
    await _start(page, address)
    session = (await _diagnostics(page))["session"]
    await page.evaluate("() => { document.querySelector('#picture iframe').src = 'about:blank' }")
    await _lost(page)
    await expect(page.locator("#toast-words")).to_contain_text("The video engine stopped answering")
    await _finds_the_thing(page)
    assert (await _diagnostics(page))["session"] == session


async def test_an_engine_that_is_lost_again_and_again_is_left_to_the_user(page: Page, address: str) -> None:
    await _start(page, address)
    for _ in range(3):
        await page.evaluate(_RELOAD)
        await _lost(page)
        await expect(page.locator("#state")).to_have_text("Live")
    await page.evaluate(_RELOAD)
    await expect(page.locator("#cover-title")).to_have_text("The video engine stopped answering")
    await page.get_by_role("button", name="Restart").click()
    await _finds_the_thing(page)


async def test_the_frame_is_the_same_all_along(page: Page, address: str) -> None:
    """iOS asks for the camera anew in each new one."""
    await _start(page, address)
    await page.evaluate("() => { window.frame = document.querySelector('iframe'); }")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#state")).to_have_text("Ready")
    await page.get_by_role("button", name="Start", exact=True).click()
    await _finds_the_thing(page)
    assert await page.evaluate("() => document.querySelector('iframe') === window.frame")
    assert await page.evaluate("() => history.length") == 2  # the blank page that Playwright opens, and this


async def test_back_from_another_page_it_goes_on(page: Page, address: str) -> None:
    """As from the back/forward cache, which closes sockets and cameras."""
    await _start(page, address)
    session = (await _diagnostics(page))["session"]
    await page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await _lost(page)
    await _finds_the_thing(page)
    report = await _diagnostics(page)
    assert report["session"] == session
    assert [step["code"] for step in report["history"] if step["state"] == "failed"] == []


@pytest.mark.parametrize("source", ["camera", "sample"])
async def test_a_server_that_is_away_at_start_is_waited_for(page: Page, source: str) -> None:
    async with serving(loading(RedThingDetector())) as address:
        await page.goto(address)
        await expect(page.locator("#start-stop")).to_be_enabled()
        await page.get_by_label("Source").select_option(source)
    await page.get_by_role("button", name="Start", exact=True).click()
    await _waits_for_the_server(page)
    async with serving(loading(RedThingDetector()), port=int(address.rstrip("/").rsplit(":", 1)[1])):
        await expect(page.locator("#state")).to_have_text("Live")


async def test_an_engine_that_cannot_be_loaded_is_loaded_when_the_server_is_back(page: Page) -> None:
    async with serving(loading(RedThingDetector())) as address:
        await _start(page, address)
    await page.get_by_role("button", name="Stop").click()  # loads a fresh engine, which is nowhere to be had
    await expect(page.locator("#state")).to_have_text("Ready")
    await page.get_by_role("button", name="Start", exact=True).click()
    await _waits_for_the_server(page)
    async with serving(loading(RedThingDetector()), port=int(address.rstrip("/").rsplit(":", 1)[1])):
        await _finds_the_thing(page)


async def _waits_for_the_server(page: Page) -> None:
    await expect(page.locator("#state")).to_have_text("Waiting for the server")
    await expect(page.locator("#toast-words")).to_contain_text("The server cannot be reached")
    await expect(page.locator("#retry")).to_be_visible()
