"""The examples of ``docs/browser.md`` in a real browser, as they stand there."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.test_documents import ROOT, examples
from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_page_in_ten_lines_shows_what_was_found(page: Page) -> None:
    async with serving(loading(RedThingDetector())) as address:
        await page.goto(address + "examples/minimal.html")
        await page.get_by_role("button", name="Start").click()
        await expect(page.locator("pre")).to_contain_text('"thing"')


_DRAWN = """() => {
  const { width, height } = document.querySelector("canvas");
  const context = document.querySelector("canvas").getContext("2d");
  return width > 0 && context.getImageData(0, 0, width, height).data.some(Boolean);
}"""


async def test_the_overlay_draws_what_was_found(page: Page) -> None:
    _, example = examples(ROOT / "docs" / "browser.md", "js")
    assert example == (ROOT / "web" / "examples" / "overlay.js").read_text()
    async with serving(loading(RedThingDetector())) as address, asyncio.timeout(20):
        await page.goto(address + "examples/overlay.html")
        await page.get_by_role("button", name="Start").click()
        await page.wait_for_function(_DRAWN)


@pytest.mark.parametrize("module", ["engine/client.js", "engine/overlay.js"])
async def test_two_folders_are_all_that_a_page_needs(module: str) -> None:
    web, seen, todo = ROOT / "web", set[Path](), [ROOT / "web" / module]
    while todo:
        file = todo.pop()
        seen.add(file)
        found = re.findall(r'^(?:import|export)\b[^;]*? from "(\.[^"]+)";', file.read_text(), re.MULTILINE)
        todo += [path for name in found if (path := (file.parent / name).resolve()) not in seen]
    assert len(seen) > 5
    assert {file.relative_to(web).parts[0] for file in seen} == {"engine", "shared"}
