"""``web/engine/overlay.js`` on a playing camera: where boxes are drawn against what the picture shows."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from inference.catalogue import find_models
from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from tests.web.browser import Page
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SLOW_S = 0.19
"""Seconds a frame: about five results a second."""

# Compares, in each drawn picture, three centres of the red thing in 0..1 of the width: in the video
# itself, of the box as drawn on the canvas, and of the last result's box, which is what "hold" would draw.
_MEASURE = """async ([url, seconds, sync]) => {
  const { InferenceClient } = await import("/engine/client.js");
  const { Overlay } = await import("/engine/overlay.js");
  document.body.replaceChildren();
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
  const video = Object.assign(document.createElement("video"), { muted: true, srcObject: stream });
  const canvas = document.createElement("canvas");
  for (const element of [video, canvas]) {
    Object.assign(element.style, { position: "fixed", inset: "0", width: "320px", height: "240px" });
    document.body.append(element);
  }
  await video.play();
  const overlay = new Overlay(video, canvas);
  overlay.view = { mirror: false, sync, labels: false };
  const client = new InferenceClient({ url, track: stream.getVideoTracks()[0] });
  let held = null, results = 0;
  client.addEventListener("result", ({ detail }) => {
    overlay.observe(detail);
    results += 1;
    const [thing] = detail.result.detections;
    if (thing) held = thing.box[0] + thing.box[2] / 2;
  });
  client.start();

  const sample = new OffscreenCanvas(320, 240);
  const context = sample.getContext("2d", { willReadFrequently: true });
  const centre = (picture, wanted) => {
    context.clearRect(0, 0, 320, 240);
    context.drawImage(picture, 0, 0, 320, 240);
    const { data } = context.getImageData(0, 0, 320, 240);
    let [left, right] = [320, -1];
    for (let i = 0; i < data.length; i += 4) {
      if (!wanted(data[i], data[i + 1], data[i + 2], data[i + 3])) continue;
      const x = (i / 4) % 320;
      left = Math.min(left, x);
      right = Math.max(right, x);
    }
    return right < 0 ? null : (left + right + 1) / 2 / 320;
  };
  const red = (r, g, b) => r - Math.max(g, b) > 80;
  // An outline has the colour of its id, whichever that is. In sync mode the delayed, grey and red picture is
  // is on the canvas too.
  const coloured = (r, g, b) => Math.max(r, g, b) - Math.min(r, g, b) > 100 && !red(r, g, b);
  const outlined = sync ? coloured : (r, g, b, alpha) => alpha > 128;
  const drawn = [], hold = [];
  const rest = 2000, until = performance.now() + rest + 1000 * seconds;
  let before = 0, ticks = 0, began = 0;
  while (performance.now() < until) {
    await new Promise(requestAnimationFrame);
    if (performance.now() < until - 1000 * seconds) { before = results; began = performance.now(); continue; }
    ticks += 1;
    const shown = centre(sync ? canvas : video, red);
    const box = centre(canvas, outlined);
    if (shown === null || box === null || held === null) continue;
    drawn.push(Math.abs(box - shown));
    hold.push(Math.abs(held - shown));
  }
  const span = (performance.now() - began) / 1000;
  client.close();
  overlay.close();
  stream.getTracks().forEach((track) => track.stop());
  return { drawn, hold, resultRate: (results - before) / span, drawRate: ticks / span };
}"""


async def _measure(page: Page, seconds: float, *, sync: bool = False) -> dict[str, Any]:
    async with serving(loading(RedThingDetector(_SLOW_S))) as address:
        await page.goto(address + "examples/minimal.html")
        url = address.replace("http", "ws") + "ws/inference"
        measured: dict[str, Any] = await page.evaluate(_MEASURE, [url, seconds, sync])
        return measured


async def test_boxes_follow_the_picture_between_results(page: Page) -> None:
    measured = await _measure(page, 10.0)
    drawn, hold = statistics.mean(measured["drawn"]), statistics.mean(measured["hold"])
    print(f"inference {measured['resultRate']:.1f}/s, drawn {measured['drawRate']:.0f}/s")
    print(f"mean error of the centre, frame widths: drawn {drawn:.4f}, held {hold:.4f}")
    assert 3 < measured["resultRate"] < 6
    assert measured["drawRate"] >= 30
    assert drawn <= hold / 2


async def test_in_sync_mode_boxes_sit_on_their_picture(page: Page) -> None:
    measured = await _measure(page, 4.0, sync=True)
    error = statistics.mean(measured["drawn"])
    print(f"mean error of the centre, frame widths: {error:.4f}")
    assert error <= 0.015


# How much of the overlay is filled, and how much is line, once the red thing is outlined.
_OUTLINED = """async ([url]) => {
  const { InferenceClient } = await import("/engine/client.js");
  const { Overlay } = await import("/engine/overlay.js");
  document.body.replaceChildren();
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240 } });
  const video = Object.assign(document.createElement("video"), { muted: true, srcObject: stream });
  const canvas = document.createElement("canvas");
  for (const element of [video, canvas]) {
    Object.assign(element.style, { position: "fixed", inset: "0", width: "320px", height: "240px" });
    document.body.append(element);
  }
  await video.play();
  const overlay = new Overlay(video, canvas);
  overlay.view = { mirror: false, sync: false, labels: false };
  const pipeline = { detect: false, pose: false, segment: true };
  const client = new InferenceClient({ url, track: stream.getVideoTracks()[0], pipeline });
  client.addEventListener("result", ({ detail }) => overlay.observe(detail));
  client.start();
  while (overlay.objects === 0) await new Promise(requestAnimationFrame);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  client.close();
  overlay.close();
  stream.getTracks().forEach((track) => track.stop());
  const alphas = data.filter((_, i) => i % 4 === 3);
  const share = (wanted) => alphas.reduce((sum, alpha) => sum + wanted(alpha), 0) / alphas.length;
  return { filled: share((alpha) => alpha > 40 && alpha < 120), line: share((alpha) => alpha > 200) };
}"""


async def test_an_outline_is_filled_so_that_the_picture_shows_through(page: Page, tiny_models: Path) -> None:
    engine = await EmbeddedEngine.open({Task.SEGMENT: find_models(tiny_models)[Task.SEGMENT]})
    async with serving(loading(engine)) as address:
        await page.goto(address + "examples/minimal.html")
        drawn = await page.evaluate(_OUTLINED, [address.replace("http", "ws") + "ws/inference"])
    thing = 60 * 80 / (320 * 240)
    assert thing / 2 < drawn["filled"] < thing
    assert 0 < drawn["line"] < thing / 2
