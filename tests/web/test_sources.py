"""Where the picture comes from, and that another source ends no session."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.web.browser import FAKE_CAMERA, Page, chromium, expect, write_camera_clip
from tests.web.differences import FRONT_AND_BACK

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def grey_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing red is in it."""
    path = tmp_path_factory.mktemp("film") / "grey.webm"
    _write_film(path, np.full((150, 200, 3), 90, np.uint8))
    return path


def _write_film(path: Path, picture: NDArray[np.uint8]) -> None:
    """A third of a second of one picture, uint8 [height, width, 3], as WebM."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libvpx", rate=30)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())


async def _start(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await _live(page)


async def _live(page: Page) -> None:
    await expect(page.locator("#state")).to_have_text("Live")


async def _diagnostics(page: Page) -> Any:
    await page.locator("details").evaluate("details => { details.open = true }")
    await expect(page.locator("#diagnostics")).to_contain_text('"session": "')
    await asyncio.sleep(1.1)  # it is written anew each second
    return json.loads(await page.locator("#diagnostics").inner_text())


async def _one_session(page: Page) -> None:
    states = [step["state"] for step in (await _diagnostics(page))["history"]]
    assert states == ["connecting", "live"]


async def _shows(page: Page, width: int, height: int) -> None:
    """Waits: a source has no size before its first picture."""
    video = page.frame_locator("iframe").locator("#video")
    await expect(video).to_have_js_property("videoWidth", width)
    await expect(video).to_have_js_property("videoHeight", height)


@pytest.mark.parametrize("transport", ["WebRTC", "JPEG"])
async def test_another_source_goes_on_with_the_session(
    page: Page, address: str, grey_film: Path, transport: str
) -> None:
    objects = page.locator(".gauge", has_text="Objects").locator("output")
    await _start(page, address + ("?transport=jpeg" if transport == "JPEG" else ""))
    await expect(objects).to_have_text("1")
    async with page.expect_file_chooser() as chooser:
        await page.get_by_label("Source").select_option("file")
    await (await chooser.value).set_files(grey_film)
    await expect(objects).to_have_text("0")
    await _shows(page, 200, 150)
    await expect(page.get_by_label("Mirror")).not_to_be_checked()
    await page.get_by_label("Source").select_option("sample")
    await expect(objects).to_have_text("1")  # its traffic light is as red
    await _shows(page, 640, 480)
    await page.get_by_label("Source").select_option("camera")
    await expect(page.get_by_label("Mirror")).to_be_checked()
    await expect(objects).to_have_text("1")
    await _shows(page, 320, 240)
    await expect(page.locator("#transport")).to_have_text(transport)
    await _one_session(page)


async def test_a_source_that_cannot_be_had_leaves_the_last_one(page: Page, address: str) -> None:
    refused = "MediaDevices.prototype.getDisplayMedia = () => Promise.reject({ name: 'NotAllowedError' });"
    await page.add_init_script(refused)
    await _start(page, address)
    await page.get_by_label("Source").select_option("screen")
    await expect(page.locator("#toast-words")).to_contain_text("The screen is not shared")
    await expect(page.get_by_label("Source")).to_have_value("camera")
    await expect(page.locator(".gauge", has_text="Objects").locator("output")).to_have_text("1")
    await _one_session(page)


async def test_a_phone_has_a_button_for_its_other_camera_and_mirrors_the_front_one_only(
    page: Page, address: str
) -> None:
    await page.add_init_script(FRONT_AND_BACK)
    await _start(page, address)
    mirror, video = page.get_by_label("Mirror"), page.frame_locator("iframe").locator("#video")
    await expect(mirror).to_be_checked()
    await page.get_by_role("button", name="Back camera").click()
    await expect(page.get_by_role("button", name="Front camera")).to_be_visible()
    await expect(mirror).not_to_be_checked()
    assert await video.get_attribute("class") in (None, "")
    await mirror.check()  # the user knows better, for this camera
    await page.get_by_role("button", name="Front camera").click()
    await expect(page.get_by_role("button", name="Back camera")).to_be_visible()
    await mirror.uncheck()
    await page.get_by_role("button", name="Back camera").click()
    await expect(page.get_by_role("button", name="Front camera")).to_be_visible()
    await expect(mirror).to_be_checked()
    await _one_session(page)
    await page.reload()
    await page.get_by_role("button", name="Start", exact=True).click()
    await _live(page)
    await expect(mirror).not_to_be_checked()


async def test_cameras_that_come_are_offered_and_another_one_is_not_mirrored(address: str) -> None:
    flags = [flag.replace("-stream", "-stream=device-count=2", 1) for flag in FAKE_CAMERA[1:]]
    late = """
      const { enumerateDevices } = MediaDevices.prototype;
      window.known = 1;
      MediaDevices.prototype.enumerateDevices = async function () {
        const cameras = (await enumerateDevices.call(this)).filter(({ kind }) => kind === "videoinput");
        return cameras.slice(0, known);
      };
    """
    async with chromium(FAKE_CAMERA[0], *flags) as browser:
        page = await browser.new_page()
        await page.add_init_script(late)
        await _start(page, address)
        options = page.locator("#source option")
        await expect(options).to_have_count(4)
        engine = page.frame(url="**/engine.html")
        assert engine is not None
        come = "count => { known = count; navigator.mediaDevices.dispatchEvent(new Event('devicechange')); }"
        await engine.evaluate(come, 2)
        await expect(options).to_have_count(6)
        await expect(page.get_by_label("Mirror")).to_be_checked()
        await page.get_by_label("Source").select_option(index=5)
        await expect(page.get_by_label("Mirror")).not_to_be_checked()
        await _one_session(page)
        await engine.evaluate(come, 0)
        await expect(options).to_have_count(5)  # the chosen one stays in the list


async def test_the_whole_picture_of_an_upright_camera_is_seen(address: str, tmp_path: Path) -> None:
    pictures = (np.full((640, 480, 3), 90, np.uint8) for _ in range(30))
    write_camera_clip(tmp_path / "upright.mjpeg", pictures, 480, 640)
    async with chromium(clip=tmp_path / "upright.mjpeg") as browser:
        page = await browser.new_page(viewport={"width": 390, "height": 844})
        await _start(page, address)
        await _shows(page, 480, 640)
        box = await page.locator("#picture").bounding_box()
        assert box is not None
        assert box["height"] > box["width"], "it gets the height"


async def test_a_large_film_is_made_smaller(page: Page, address: str, tmp_path: Path) -> None:
    _write_film(tmp_path / "wide.webm", np.full((720, 1280, 3), 90, np.uint8))
    await page.goto(address)
    async with page.expect_file_chooser() as chooser:
        await page.get_by_label("Source").select_option("file")
    await (await chooser.value).set_files(tmp_path / "wide.webm")
    await _live(page)
    await _shows(page, 640, 360)


async def test_where_the_sample_cannot_be_read_in_one_format_the_other_plays(
    page: Page, address: str
) -> None:
    await page.route("**/street.mp4", lambda route: route.fulfill(body="no film", content_type="video/mp4"))
    await page.goto(address + "?source=sample")
    await page.get_by_role("button", name="Start", exact=True).click()
    await _live(page)
    await _shows(page, 640, 480)
