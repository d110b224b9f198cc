"""`capture_time_ms` as Chromium's sender gives it, against a clock drawn into the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inference.engines.contract import Head, Task
from rendered_world import barcode
from tests.web.browser import Page
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Sends a canvas with the time drawn into it, in blocks of 32 × 32 pixels.
_SEND = """async ([url, seconds, rows, columns, bits]) => {
  const { InferenceClient } = await import("/engine/client.js");
  const canvas = Object.assign(document.createElement("canvas"), { width: 32 * columns, height: 32 * rows });
  const context = canvas.getContext("2d", { alpha: false });
  const crc = (bytes) => bytes.reduce((sum, byte) => {
    sum ^= byte << 8;
    for (let i = 0; i < 8; i++) sum = sum & 0x8000 ? (sum << 1) ^ 0x1021 : sum << 1;
    return sum & 0xffff;
  }, 0xffff);
  const draw = () => {
    let rest = Math.round(performance.timeOrigin + performance.now());
    const bytes = [];
    for (; bytes.length < bits / 8; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
    const sum = crc(bytes);
    bytes.push(sum >> 8, sum & 255);
    context.fillStyle = "rgb(16 16 16)";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = "rgb(235 235 235)";
    bytes.forEach((byte, i) => {
      for (let bit = 0; bit < 8; bit++) {
        if (!(byte & (128 >> bit))) continue;
        const block = 8 * i + bit;
        context.fillRect(32 * (block % columns), 32 * Math.floor(block / columns), 32, 32);
      }
    });
  };
  const timer = setInterval(draw, 33);
  const client = new InferenceClient({ url, track: canvas.captureStream().getVideoTracks()[0] });
  const times = {};
  client.addEventListener("result", ({ detail: { result } }) => {
    if (!result.frame.capture_time_estimated) times[result.seq] = result.frame.capture_time_ms;
  });
  client.start();
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  clearInterval(timer);
  client.close();
  return times;
}"""


class BarcodeReader(RedThingDetector):
    """Keeps the number in each picture, in the order of inference: the n-th is of result n."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int | None] = []

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        bars = 8  # above and below a 320 × 224 picture in the 320 × 240 frame
        luma = cv2.cvtColor(images[0, bars:-bars], cv2.COLOR_RGB2GRAY)
        self.read.append(barcode.read(luma))
        return await super().infer(task, images)


async def test_capture_time_is_that_of_the_picture(page: Page) -> None:
    reader = BarcodeReader()
    async with serving(loading(reader)) as address:
        reader.read.clear()  # the server's own trial
        await page.goto(address + "examples/minimal.html")
        url = address.replace("http", "ws") + "ws/inference"
        shape = [barcode.ROWS, barcode.COLUMNS, barcode.VALUE_BITS]
        times: dict[str, float | None] = await page.evaluate(_SEND, [url, 4.0, *shape])
    errors = [
        captured - drawn
        for seq, captured in times.items()
        if captured is not None and (drawn := reader.read[int(seq) - 1]) is not None
    ]
    low, middle, high = np.percentile(errors, [1, 50, 99])
    print(f"{len(errors)} frames; captured less drawn, ms: p1 {low:.1f}, p50 {middle:.1f}, p99 {high:.1f}")
    assert len(errors) >= 50
    assert np.percentile(np.abs(errors), 99) <= 20.0
