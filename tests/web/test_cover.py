"""What lies over the picture before anything runs: one button, and what it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZES = [(360, 640), (390, 844), (844, 390), (768, 1024), (1280, 800), (1920, 1080)]


async def test_what_is_chosen_on_the_cover_is_what_the_button_starts(page: Page, address: str) -> None:
    await page.goto(address)
    button = page.locator("#cover-button")
    await expect(button).to_have_text("Start camera")
    await page.get_by_role("radio", name="Sample clip").check()
    await expect(button).to_have_text("Play the sample")
    await expect(page.get_by_label("Source")).to_have_value("sample")
    await page.get_by_label("Source").select_option("camera")
    await expect(page.get_by_role("radio", name="Camera")).to_be_checked()
    await page.get_by_role("radio", name="Sample clip").check()
    await button.click()
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#film")).to_be_visible()


async def test_a_file_is_asked_for_by_the_button_and_plays_at_once(
    page: Page, address: str, red_film: Path
) -> None:
    await page.goto(address)
    await page.get_by_role("radio", name="Video file").check()
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Choose a file").click()
    await (await chooser.value).set_files(red_film)
    await expect(page.get_by_role("button", name="1 thing")).to_be_visible()


async def test_where_models_know_drawings_only_the_sample_comes_first(page: Page) -> None:
    async with serving(loading(RedThingDetector(synthetic=True))) as address:
        await page.goto(address)
        await expect(page.locator("#cover-button")).to_have_text("Play the sample")
        await expect(page.locator("#cover-advice")).to_contain_text("know drawn scenes only")
        assert await page.locator("#cover-sources").inner_text() == "Sample clip\nCamera\nVideo file…"
        await page.get_by_role("radio", name="Camera").check()
        await page.reload()  # what was chosen counts more
        await expect(page.locator("#cover-button")).to_have_text("Start camera")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("language", ["en", "de"])
async def test_all_of_the_choice_is_in_sight(page: Page, size: tuple[int, int], language: str) -> None:
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    async with serving(loading(RedThingDetector(synthetic=True))) as address:
        await page.goto(f"{address}?lang={language}")
        await expect(page.locator("#cover-button")).to_be_enabled()
        cover = await page.locator("#cover").bounding_box()
        assert cover is not None
        for part in ("#cover-title", "#cover-sources", "#cover-button"):
            box = await page.locator(part).bounding_box()
            assert box is not None
            assert cover["y"] <= box["y"]
            assert box["y"] + box["height"] <= min(cover["y"] + cover["height"], size[1])
