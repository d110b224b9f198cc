"""Camera to drawn box with real models: what a user gets, and the picture of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from inference.catalogue import BUILT_IN, find_models
from inference.engines.contract import Engine
from inference.engines.embedded import EmbeddedEngine
from mediaserver.telemetry.metrics import Metrics
from tests.web.browser import Page, camera_clip_of, chromium, expect
from tests.web.server import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARTIFACTS = Path(os.environ.get("MEDIASERVER_ARTIFACTS", Path(__file__).resolve().parents[2] / "artifacts"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address(models_dir: Path) -> AsyncIterator[str]:
    async def load(_metrics: Metrics) -> Engine:
        return await EmbeddedEngine.open(find_models(models_dir), threads=0)

    async with serving(load, pose=True) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def person(media_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A page whose camera sees a person."""
    clip = tmp_path_factory.mktemp("camera") / "pose.mjpeg"
    camera_clip_of(media_dir / "pose.mp4", clip, seconds=3.0)
    async with chromium(clip=clip) as browser:
        context = await browser.new_context(
            viewport={"width": 1360, "height": 860}, permissions=["camera"], color_scheme="dark"
        )
        yield await context.new_page()


async def test_a_person_is_boxed_soon_after_start(person: Page, address: str) -> None:
    await person.goto(address)
    await person.get_by_role("button", name="Start", exact=True).click()
    await expect(person.locator("#transport")).to_have_text("WebRTC")
    stats = await _stats(person)
    print(f"first box {stats['firstBoxMs']:.0f} ms after Start; drawn {stats['renderFps']:.0f}/s")
    assert stats["firstBoxMs"] <= 1500
    assert stats["objects"] >= 2  # a box and a skeleton
    async with aiohttp.ClientSession() as client, client.get(address + "metrics") as response:
        metrics = await response.text()
    assert re.search(r"client_render_fps_count [1-9]", metrics)  # the page reports what the user sees
    ARTIFACTS.mkdir(exist_ok=True)
    await person.locator("details").evaluate("details => { details.open = false }")
    await person.screenshot(path=ARTIFACTS / "page.png")


async def test_the_sample_plays_and_its_people_are_found_by_the_built_in_models() -> None:
    async def load(_metrics: Metrics) -> Engine:
        return await EmbeddedEngine.open(find_models(BUILT_IN))

    async with serving(load, pose=True) as url, chromium() as browser:
        page = await browser.new_page(viewport={"width": 1360, "height": 860}, color_scheme="light")
        await page.goto(url)
        await page.get_by_label("Source").select_option("sample")
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#transport")).to_have_text("WebRTC")
        stats = await _stats(page)
        assert stats["objects"] >= 3  # a box and a skeleton for her who waves, and the traffic light
        await page.locator("details").evaluate("details => { details.open = false }")
        ARTIFACTS.mkdir(exist_ok=True)
        await page.screenshot(path=ARTIFACTS / "sample.png")


async def _stats(page: Page) -> dict[str, Any]:
    """From the diagnostics, after a few seconds of results."""
    await page.wait_for_timeout(4000)
    await page.locator("details").evaluate("details => { details.open = true }")
    await expect(page.locator("#diagnostics")).to_contain_text('"firstBoxMs": ')
    stats: dict[str, Any] = json.loads(await page.locator("#diagnostics").inner_text())["stats"]
    return stats
