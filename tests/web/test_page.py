"""The control page in real Chromium: its words for each failure, its boundaries, its keyboard."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mediaserver.settings.types import Origin
from tests.web.browser import FAKE_CAMERA, Page, chromium, expect
from tests.web.server import RedThingDetector, loading, never_loads, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _live(page: Page) -> None:
    await expect(page.locator("#state")).to_have_text("Live")


async def _says(page: Page, words: str) -> None:
    await expect(page.locator("#cover-title")).to_have_text(words)


async def test_start_and_stop(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await _live(page)
    await expect(page.locator("#transport")).to_have_text("WebRTC")
    await expect(page.locator("#cover")).to_be_hidden()
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator("#state")).to_have_text("Ready")
    await page.get_by_role("button", name="Start camera").click()
    await _live(page)


@pytest.mark.parametrize("synthetic", [True, False])
async def test_the_page_says_what_finds_things_and_what_that_does_not_know(
    page: Page, synthetic: bool
) -> None:
    async with serving(loading(RedThingDetector(licence="Apache-2.0", synthetic=synthetic))) as address:
        await page.goto(address)
        await expect(page.locator("#synthetic")).to_be_hidden()
        await page.get_by_role("button", name="Start", exact=True).click()
        await _live(page)
        drawn = " · drawn scenes only" if synthetic else ""
        await expect(page.locator('[data-model-of="detect"]')).to_have_text(
            f"red · 1 kind · Apache-2.0{drawn}"
        )
        await expect(page.locator("#runs-on")).to_contain_text("ONNX Runtime")
        await expect(page.locator('[data-model-of="pose"]')).to_be_empty()
        warning = page.get_by_role("note")
        if synthetic:
            await expect(warning).to_contain_text("will not recognise real people")
            await expect(warning).to_contain_text("mediaserver models pull nanodet_g movenet_multipose")
        else:
            await expect(warning).to_be_hidden()


async def test_the_keyboard_does_it_all(page: Page, address: str) -> None:
    await page.goto(address)
    await expect(page.locator("#start-stop")).to_be_enabled()
    await page.keyboard.press("s")
    await _live(page)
    await page.keyboard.press("m")
    await expect(page.get_by_label("Mirror")).not_to_be_checked()
    await page.get_by_role("switch", name="Objects").focus()
    await page.keyboard.press("Space")
    await expect(page.locator(".gauge", has_text="Objects").locator("output")).to_have_text("0")
    await page.keyboard.press("s")
    await expect(page.locator("#state")).to_have_text("Ready")


async def test_no_script_of_a_third_party_and_none_inline(page: Page, address: str) -> None:
    violations: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: violations.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await _live(page)
    assert violations == []
    assert all(url.startswith(address) for url in requests)
    policy = await page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy is not None
    assert "unsafe" not in policy
    await page.evaluate(
        """() => document.body.append(
          Object.assign(document.createElement("script"), { textContent: "window.injected = true" }))"""
    )
    assert await page.evaluate("window.injected") is None


_GARBAGE = """
  const fake = (type, more) => ({ protocol: "mediaserver-engine/1", type, ...more });
  const malformed = [null, 7, "stop", {}, { type: "stop" }, fake("start", { source: null }),
    fake("__proto__"), fake("configure", { pipeline: null }), fake("stats", { transport: 3 })];
  const garbage = [...malformed, fake("stop"), fake("failed", { code: "no_camera", detail: "" })];
  const engine = top.document.querySelector("#picture iframe").contentWindow;
  const post = (target, data) => target.postMessage(data, "*");
"""


async def test_garbage_from_other_frames_changes_nothing(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await _live(page)
    await page.evaluate("() => document.body.append(document.createElement('iframe'))")
    stranger = page.frames[-1]
    await stranger.evaluate(
        _GARBAGE + "for (const data of garbage) for (const to of [parent, engine]) post(to, data)"
    )
    # The page itself, whose garbage has the right origin and source, but not the shape.
    await page.evaluate(_GARBAGE + "for (const data of malformed) post(engine, data)")
    await page.evaluate(_GARBAGE + "for (const data of garbage) post(window, data)")
    await asyncio.sleep(1.0)
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#gauges")).not_to_contain_text("NaN")


async def test_a_page_of_another_origin_cannot_frame_the_engine(page: Page, address: str) -> None:
    """Neither the engine nor the page: a stranger could have them clicked on, or drive the camera."""
    targets = [f"{address}engine/engine.html", address]
    html = "".join(f'<iframe src="{target}"></iframe>' for target in targets)
    stranger = "http://localhost:1/"
    await page.route(stranger, lambda route: route.fulfill(body=html, content_type="text/html"))
    await page.goto(stranger, wait_until="load")
    framed = page.frames[1:]
    assert len(framed) == len(targets)
    assert all(frame.url.startswith("chrome-error:") for frame in framed), [frame.url for frame in framed]
    await page.goto(address)  # which is there, and frames its own engine
    await expect(page.locator("#start-stop")).to_be_enabled()


async def test_a_server_that_does_not_say_what_it_is_lets_one_start_nevertheless(
    page: Page, address: str
) -> None:
    """A proxy that keeps the request for itself."""
    await page.route("**/config.json", lambda _route: None)
    await page.goto(address)
    await expect(page.locator("#start-stop")).to_be_enabled()
    await page.unroute_all(behavior="ignoreErrors")
    await page.get_by_role("button", name="Start", exact=True).click()
    await _live(page)


async def test_models_loading(page: Page) -> None:
    async with serving(never_loads, wait_ready=False) as address:
        await page.goto(address)
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#toast-words")).to_contain_text("The models are loading")
        await expect(page.locator("#state")).to_have_text("Waiting for the models")


async def test_models_that_go_away_are_told_and_come_back(page: Page) -> None:
    detector = RedThingDetector()
    objects = page.locator(".gauge", has_text="Objects").locator("output")
    async with serving(loading(detector)) as address:
        await page.goto(address)
        await page.get_by_role("button", name="Start", exact=True).click()
        await _live(page)
        for _ in range(2):
            detector.trouble = "Triton does not answer"
            await expect(page.locator("#state")).to_have_text("Models away")
            await expect(page.locator("#toast-words")).to_contain_text("The models are away")
            await expect(page.locator("#cover")).to_be_hidden()
            await expect(page.locator("#retry")).to_be_hidden()
            await expect(objects).to_have_text("0")
            detector.trouble = None
            await _live(page)
            await expect(page.locator("#toast")).to_be_hidden()
            await expect(objects).to_have_text("1")


async def test_what_gives_way_while_the_server_is_busy_is_said(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SHORT_S", "INTERVAL_S", "PATIENCE_S"):
        monkeypatch.setattr(f"inference.load_shedding._{name}", 0.0)
    detector = RedThingDetector(seconds=0.5)
    async with serving(loading(detector)) as address:
        await page.goto(address)
        await page.get_by_role("button", name="Start", exact=True).click()
        await _live(page)
        await expect(page.locator("#busy")).to_have_text(
            "Server busy: fewer results a second", timeout=30_000
        )
        detector.seconds = 0.0
        await expect(page.locator("#busy")).to_be_hidden(timeout=30_000)
        await expect(page.locator("#state")).to_have_text("Live")


async def test_models_that_are_away_from_the_start_are_told(page: Page) -> None:
    detector = RedThingDetector()
    async with serving(loading(detector)) as address:
        detector.trouble = "Triton does not answer"
        await page.goto(address)
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Models away")
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator("#state")).to_have_text("Ready")


async def test_a_full_server_lets_one_in_when_a_place_is_free(page: Page) -> None:
    async with serving(loading(RedThingDetector()), max_sessions=1) as address:
        await page.goto(address)
        other = await page.context.new_page()
        await other.goto(address)
        await other.get_by_role("button", name="Start", exact=True).click()
        await _live(other)
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#toast-words")).to_contain_text("The server is full")
        await expect(page.locator("#state")).to_have_text("Waiting for a place")
        await other.get_by_role("button", name="Stop").click()
        await expect(other.locator("#state")).to_have_text("Ready")
        await page.get_by_role("button", name="Try now").click()
        await _live(page)


async def test_a_restarted_server_is_found_again(page: Page) -> None:
    async with serving(loading(RedThingDetector())) as address:
        await page.goto(address)
        await page.get_by_role("button", name="Start", exact=True).click()
        await _live(page)
    await expect(page.locator("#state")).to_have_text("Reconnecting")
    await expect(page.locator("#toast-words")).to_contain_text("The server")
    await asyncio.sleep(1.5)
    async with serving(loading(RedThingDetector()), port=int(address.rstrip("/").rsplit(":", 1)[1])):
        began = asyncio.get_running_loop().time()
        await _live(page)
        await expect(page.locator("#transport")).to_have_text("WebRTC")
        seconds = asyncio.get_running_loop().time() - began
    print(f"live {seconds:.1f} s after the server was back")
    assert seconds <= 5.0


async def test_no_camera() -> None:
    await _fails("No camera found", flags=("--use-fake-ui-for-media-stream",))


async def test_camera_not_allowed() -> None:
    await _fails("The camera is not allowed", flags=("--use-fake-device-for-media-stream",))


async def test_insecure_origin() -> None:
    flags = (*FAKE_CAMERA, "--host-resolver-rules=MAP camera.test 127.0.0.1")
    await _fails("This address is not secure", flags=flags, host="camera.test")


async def _fails(words: str, *, flags: tuple[str, ...], host: str = "127.0.0.1") -> None:
    known = (Origin(f"http://{host}"),)
    async with (
        serving(never_loads, wait_ready=False, allowed_origins=known) as address,
        chromium(*flags) as browser,
    ):
        page = await browser.new_page()
        await page.goto(address.replace("127.0.0.1", host))
        await page.get_by_role("button", name="Start", exact=True).click()
        await _says(page, words)
        await expect(page.locator("#cover-button")).to_have_text("Try again")
        await expect(page.locator("#state")).to_have_text("Stopped")


async def test_a_chosen_file_plays_unmirrored(page: Page, address: str, red_film: Path) -> None:
    await page.goto(address)
    async with page.expect_file_chooser() as chooser:
        await page.get_by_label("Source").select_option("file")
    await (await chooser.value).set_files(red_film)
    await _live(page)
    await expect(page.locator(".gauge", has_text="Objects").locator("output")).to_have_text("1")
    await expect(page.get_by_label("Mirror")).not_to_be_checked()


async def test_a_file_that_is_no_video(page: Page, address: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.mp4"
    file.write_text("no video")
    await page.goto(address)
    async with page.expect_file_chooser() as chooser:
        await page.get_by_label("Source").select_option("file")
    await (await chooser.value).set_files(file)
    await _says(page, "This file cannot be played")
