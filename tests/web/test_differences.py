"""The page where a browser lacks what another has: Chromium without it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from tests.web.browser import FAKE_CAMERA, Browser, Page, chromium, expect
from tests.web.differences import (
    BLANK_CANVAS,
    CAMERAS_NAMED_WHERE_ONE_IS_OPEN,
    MUTABLE_TRACKS,
    NO_ABORT_TIMEOUT,
    NO_CAPTURE_STREAM,
    NO_FRAME_CALLBACK,
    NO_FULL_SCREEN,
    NO_MEDIA_DEVICES,
    NO_ROUND_RECT,
    NO_SCREEN_SHARING,
    NO_WEBRTC,
    PLAYS_AFTER_A_TAP,
    STORAGE_IS_NULL,
    STORAGE_THROWS,
    statistics_without,
)
from tests.web.server import never_loads, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _start(page: Page, address: str, lacking: str = "", source: str = "camera") -> None:
    await page.add_init_script(lacking)
    await page.goto(address)
    await expect(page.locator("#start-stop")).to_be_enabled()
    if source != "camera":
        await page.get_by_label("Source").select_option(source)
    await page.get_by_role("button", name="Start", exact=True).click()


async def _finds_the_thing(page: Page, transport: str = "WebRTC") -> None:
    await expect(page.locator("#transport")).to_have_text(transport)
    await expect(_gauge(page, "Objects")).to_have_text("1")


def _gauge(page: Page, name: str) -> Any:
    return page.locator(".gauge", has_text=name).locator("output")


@pytest.mark.parametrize(
    "condition",
    [
        "(type) => type === 'transport'",
        "(type, field) => type === 'transport' && /^bytes/.test(field)",
        "(type, field) => /^(bytes|packets)/.test(field)",
        "(type, field) => field !== 'type'",
    ],
)
async def test_what_statistics_do_not_count_is_no_silence(page: Page, address: str, condition: str) -> None:
    await _start(page, address, statistics_without(condition))
    await _finds_the_thing(page)
    seen = await page.evaluate(
        """() => new Promise((resolve) => {
          const badge = document.querySelector("#transport");
          const seen = new Set([badge.textContent]);
          new MutationObserver(() => seen.add(badge.textContent)).observe(badge, { childList: true });
          setTimeout(() => resolve([...seen]), 6000); // three times what it bears
        })"""
    )
    assert seen == ["WebRTC"]


async def test_statistics_that_cannot_be_had_are_no_silence(page: Page, address: str) -> None:
    refused = "RTCPeerConnection.prototype.getStats = () => Promise.reject(new DOMException('closed'));"
    await _start(page, address, refused)
    await _finds_the_thing(page)
    await asyncio.sleep(3.0)
    await expect(page.locator("#transport")).to_have_text("WebRTC")


@pytest.mark.parametrize(
    "lacking",
    [
        NO_ROUND_RECT,
        NO_ABORT_TIMEOUT,
        NO_FRAME_CALLBACK,
        "RTCRtpSender.prototype.setParameters = () => Promise.reject(new DOMException('no'));",
        "MediaDevices.prototype.enumerateDevices = () => Promise.reject(new DOMException('no'));",
        STORAGE_IS_NULL,
        STORAGE_THROWS,
    ],
)
async def test_the_page_works_without(page: Page, address: str, lacking: str) -> None:
    await _start(page, address, lacking)
    await _finds_the_thing(page)


async def test_exact_boxes_work_where_a_browser_does_not_tell_of_each_picture(
    page: Page, address: str
) -> None:
    await _start(page, address, NO_FRAME_CALLBACK)
    await _finds_the_thing(page)
    await page.get_by_label("Exact boxes").check()
    await expect(_gauge(page, "Objects")).to_have_text("1")
    engine = page.frame(url="**/engine.html")
    assert engine is not None
    painted = """() => {
      const canvas = document.querySelector("#overlay");
      return canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height - 20, 1, 1).data[3];
    }"""
    async with asyncio.timeout(10):
        while await engine.evaluate(painted) != 255:  # noqa: ASYNC110 - the picture, shown late, covers the video
            await asyncio.sleep(0.1)


async def test_a_refusal_is_explained_without_abort_signal_timeout(page: Page) -> None:
    async with serving(never_loads, wait_ready=False) as loading_address:
        await _start(page, loading_address, NO_ABORT_TIMEOUT)
        await expect(page.locator("#toast-words")).to_contain_text("The models are loading")


async def test_what_a_phone_cannot_do_is_not_offered(page: Page, address: str) -> None:
    await page.add_init_script(NO_SCREEN_SHARING + NO_FULL_SCREEN)
    await page.goto(address)
    await expect(page.locator("#start-stop")).to_be_enabled()
    assert await page.locator("#source option").all_text_contents() == [
        *("Camera", "Video file…", "Sample clip")
    ]
    await expect(page.locator("#full-screen")).to_be_hidden()
    await page.keyboard.press("f")


@pytest.mark.parametrize(
    ("lacking", "source", "words"),
    [
        (NO_MEDIA_DEVICES, "camera", "This browser cannot send that"),
        (NO_CAPTURE_STREAM, "sample", "This browser cannot send that"),
        (BLANK_CANVAS, "sample", "The browser hides pictures from pages"),
        (
            "MediaDevices.prototype.getUserMedia = () => Promise.reject({ name: 'OverconstrainedError' });",
            "camera",
            "No camera found",
        ),
        (
            "MediaDevices.prototype.getDisplayMedia = () => "
            "Promise.reject(new DOMException('gesture', 'InvalidStateError'));",
            "screen",
            "Ready to share the screen",
        ),
    ],
)
async def test_what_a_browser_cannot_do_is_told(
    page: Page, address: str, lacking: str, source: str, words: str
) -> None:
    await _start(page, address, lacking, source)
    await expect(page.locator("#cover-title")).to_have_text(words)
    await expect(page.locator("#cover-button")).to_have_text(re.compile("Try again|Share the screen"))


async def test_a_camera_that_is_asked_for_is_waited_for_with_words(page: Page, address: str) -> None:
    await _start(page, address, "MediaDevices.prototype.getUserMedia = () => new Promise(() => {});")
    await expect(page.locator("#cover-title")).to_have_text("Connecting")
    await expect(page.locator("#cover-advice")).to_have_text("If the browser asks for the camera, allow it.")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#state")).to_have_text("Ready")


async def test_without_webrtc_single_pictures_go_at_once(page: Page, address: str) -> None:
    await _start(page, address, NO_WEBRTC)
    await _finds_the_thing(page, "JPEG")
    await expect(page.locator("#toast-words")).to_contain_text("This browser has no WebRTC")


async def test_pictures_that_come_out_blank_are_told(page: Page, address: str) -> None:
    await _start(page, address, NO_WEBRTC + BLANK_CANVAS)
    await expect(page.locator("#transport")).to_have_text("JPEG")
    await expect(page.locator("#toast-words")).to_contain_text("Allow canvas data for this page")


async def test_cameras_are_offered_where_only_the_document_that_has_one_knows_them(address: str) -> None:
    """As in Firefox and Safari."""
    two = [
        flag.replace("fake-device-for-media-stream", "fake-device-for-media-stream=device-count=2")
        for flag in FAKE_CAMERA
    ]
    async with chromium(*two) as browser:
        page = await browser.new_page()
        await _start(page, address, CAMERAS_NAMED_WHERE_ONE_IS_OPEN)
        await expect(page.locator("#state")).to_have_text("Live")
        options = page.locator("#source option")
        await expect(options).to_have_count(6)
        names = await options.all_text_contents()
        assert all(re.match("fake_device", name) for name in names[4:]), names


async def test_a_source_that_pauses_keeps_its_session(page: Page, address: str) -> None:
    await page.add_init_script(
        """const addTransceiver = RTCPeerConnection.prototype.addTransceiver;
        RTCPeerConnection.prototype.addTransceiver = function (...given) {
          const transceiver = addTransceiver.apply(this, given);
          window.sender = transceiver.sender;
          return transceiver;
        };"""
    )
    await _start(page, address)
    await _finds_the_thing(page)
    engine = page.frame(url="**/engine.html")
    assert engine is not None
    for _ in range(2):
        await engine.evaluate("async () => { window.track = sender.track; await sender.replaceTrack(null); }")
        await expect(page.locator("#state")).to_have_text("Paused")
        await expect(page.locator("#toast-words")).to_contain_text("No new pictures come from the source")
        await expect(page.locator("#transport")).to_have_text("WebRTC")
        await asyncio.sleep(4.0)  # longer than the server bears silence, and the page
        await expect(page.locator("#state")).to_have_text("Paused")
        await engine.evaluate("() => sender.replaceTrack(track)")
        await expect(page.locator("#state")).to_have_text("Live")
        await _finds_the_thing(page)
    await _never_reconnected(page)


async def test_a_camera_that_the_phone_takes_away_is_paused_and_comes_back(page: Page, address: str) -> None:
    await _start(page, address, MUTABLE_TRACKS)
    await _finds_the_thing(page)
    engine = page.frame(url="**/engine.html")
    assert engine is not None
    await engine.evaluate("muteCamera(true)")
    await expect(page.locator("#state")).to_have_text("Paused")
    await expect(page.locator("#toast-words")).to_contain_text("The camera is paused by the phone")
    await expect(_gauge(page, "Inference")).to_have_text("0.0")
    await asyncio.sleep(4.0)  # longer than the server bears silence; by now it says so itself
    await expect(page.locator("#toast-words")).to_contain_text("The camera is paused by the phone")
    await engine.evaluate("muteCamera(false)")
    await expect(page.locator("#state")).to_have_text("Live")
    await _finds_the_thing(page)
    await _never_reconnected(page)


@pytest.mark.parametrize("source", ["camera", "sample"])
async def test_where_a_tap_is_wanted_it_is_asked_for(page: Page, address: str, source: str) -> None:
    await _start(page, address, PLAYS_AFTER_A_TAP, source)
    await expect(page.locator("#toast-words")).to_contain_text("Tap the picture to play")
    await page.frame_locator("iframe").get_by_role("button", name="Play").click()
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#transport")).to_have_text("WebRTC")
    await expect(page.locator("#toast")).to_be_hidden()
    assert await page.frame_locator("iframe").locator("#video").evaluate("video => video.paused") is False


async def test_a_browser_that_never_plays_is_told_after_the_tap(page: Page, address: str) -> None:
    refuses = (
        "HTMLMediaElement.prototype.play = () => Promise.reject(new DOMException('', 'NotAllowedError'));"
    )
    await _start(page, address, refuses)
    await page.frame_locator("iframe").get_by_role("button", name="Play").click()
    await expect(page.locator("#cover-title")).to_have_text("The browser does not play the video")


async def test_the_screen_is_kept_awake_while_live(page: Page, address: str) -> None:
    await page.add_init_script(
        """window.locks = [];
        WakeLock.prototype.request = async () => {
          const lock = { released: false, async release() { this.released = true; } };
          locks.push(lock);
          return lock;
        };"""
    )
    await _start(page, address)
    await _finds_the_thing(page)
    held = "() => locks.filter(({ released }) => !released).length"
    assert await page.evaluate(held) == 1
    # A browser lets go of it in a hidden tab.
    await page.evaluate(
        "() => { locks[0].released = true; document.dispatchEvent(new Event('visibilitychange')); }"
    )
    assert await page.evaluate("() => locks.length") == 2
    assert await page.evaluate(held) == 1
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#state")).to_have_text("Ready")
    assert await page.evaluate(held) == 0


async def test_a_page_of_which_a_part_does_not_load_says_so(browser: Browser, address: str) -> None:
    page = await browser.new_page()
    await page.route("**/ui/cover.js", lambda route: route.abort())
    await page.goto(address)
    await expect(page.locator("#cover-title")).to_have_text("The page cannot start")
    await page.unroute_all()
    await page.get_by_role("button", name="Reload").click()
    await expect(page.locator("#start-stop")).to_be_enabled()
    await page.close()


async def test_a_browser_that_is_too_old_is_told_so(browser: Browser, address: str) -> None:
    page = await browser.new_page()
    await page.route(
        "**/ui/cover.js", lambda route: route.fulfill(body="class {", content_type="text/javascript")
    )
    await page.goto(address)
    await expect(page.locator("#cover-title")).to_have_text("The page cannot start")
    await page.close()


async def test_one_draw_that_fails_does_not_end_the_others(browser: Browser, address: str) -> None:
    context = await browser.new_context(permissions=["camera"])
    page = await context.new_page()
    await page.add_init_script(
        """const { clearRect } = CanvasRenderingContext2D.prototype;
        window.draws = 0;
        CanvasRenderingContext2D.prototype.clearRect = function (...where) {
          if (++window.draws === 5) throw new Error("out of memory");
          clearRect.apply(this, where);
        };"""
    )
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await _finds_the_thing(page)
    await context.close()


async def _never_reconnected(page: Page) -> None:
    await page.locator("details").evaluate("details => { details.open = true }")
    await expect(page.locator("#diagnostics")).to_contain_text('"history": ')
    report = json.loads(await page.locator("#diagnostics").inner_text())
    assert not [step for step in report["history"] if step["state"] == "reconnecting"], report["history"]
