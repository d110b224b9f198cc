"""Results and pictures are taken away as files, made in the browser."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.web.browser import Page, expect
from tests.web.test_watch import IS_DRAWN

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _saved(page: Page, button: str) -> Path:
    async with page.expect_download() as download:
        await page.get_by_role("button", name=button, exact=True).click()
    return await (await download.value).path()


async def test_results_are_saved_also_when_the_session_is_over(page: Page, address: str) -> None:
    await page.goto(address)
    await expect(page.locator("#start-stop")).to_be_enabled()
    for button in ("Picture", "Results (JSONL)", "Results (CSV)"):
        await expect(page.get_by_role("button", name=button, exact=True)).to_be_disabled()
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.get_by_role("button", name="1 thing")).to_be_visible()
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Ready")
    text = (await _saved(page, "Results (JSONL)")).read_text()
    results = [json.loads(line) for line in text.splitlines()]
    assert all(result["type"] == "result" and result["captured"].endswith("Z") for result in results)
    things = [thing for result in results for thing in result["detections"]]
    assert {thing["label"] for thing in things} == {"thing"}
    rows = list(csv.DictReader((await _saved(page, "Results (CSV)")).read_text().splitlines()))
    assert [row["id"] for row in rows] == [str(thing["id"]) for thing in things]
    assert float(rows[0]["x"]) == pytest.approx(things[0]["box"][0], abs=1e-4)


async def test_a_picture_is_saved_with_what_is_drawn_on_it(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await page.wait_for_function(IS_DRAWN)
    path = await _saved(page, "Picture")
    picture = cv2.imread(str(path))
    assert picture is not None
    height, width = picture.shape[:2]
    assert width / height == pytest.approx(4 / 3, rel=0.01)
    blue, green, red = (picture[..., i].astype(np.int16) for i in range(3))
    assert (red - np.maximum(blue, green) > 80).mean() > 0.02, "the thing"
    assert ((red - blue > 80) & (green - blue > 80)).any(), "its box, which is yellow"
