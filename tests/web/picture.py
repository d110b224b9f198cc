"""``python -m tests.web.picture``: the picture of the page in the README, and nobody else's picture in it.

A street of our own, drawn here, is what Chromium's camera sees. The server is real; its networks are those of
`tests.tiny_models`, which find what is red, blue, and, as a person, green; the text is read by PP-OCR.
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.catalogue import find_models
from inference.embedded import EmbeddedEngine
from inference.engine import Engine
from inference.types import Point
from mediaserver.metrics import Metrics
from tests.tiny_models import KEYPOINTS, write_tiny_models
from tests.web.browser import chromium, expect, write_camera_clip
from tests.web.server import serving

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "page.jpg"

WIDTH, HEIGHT = 640, 480
_FRAMES = 240
_CAR_WIDTH = 150
_FINE = 2
"""Drawn that much larger, then made smaller: smooth edges."""

Colour = tuple[int, int, int]
_RED, _BLUE, _GREEN = (226, 34, 38), (30, 60, 226), (24, 206, 60)
_NIGHT, _DUSK, _GLOW = (44, 48, 92), (150, 104, 140), (248, 190, 140)
_FAR, _NEAR, _WALL, _TRIM = (96, 82, 124), (66, 60, 98), (112, 92, 110), (64, 52, 72)
_LIT, _CREAM, _SKIN, _DARK = (255, 222, 150), (250, 240, 220), (246, 208, 178), (34, 32, 46)
_PAVEMENT, _KERB, _ROAD = (146, 138, 152), (182, 174, 184), (74, 72, 88)
_BONES = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))

_READ_NOW = """() => new Promise((resolve) => {
  const log = document.querySelector("#log");
  new MutationObserver(() => resolve()).observe(log, { childList: true });
  document.querySelector("#read-now").click();
})"""


class _Canvas:
    """RGB; coordinates are pixels of the finished picture."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels

    def finished(self) -> NDArray[np.uint8]:
        """uint8 [HEIGHT, WIDTH, 3]."""
        return np.asarray(cv2.resize(self._pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)

    def copy(self) -> _Canvas:
        return _Canvas(self._pixels.copy())

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        self.shape([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour)

    def shape(self, corners: Sequence[Point], colour: Colour) -> None:
        points = np.round(np.array(corners) * _FINE).astype(np.int32)
        cv2.fillPoly(self._pixels, [points], colour, cv2.LINE_AA)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        centre = (round(x * _FINE), round(y * _FINE))
        cv2.circle(self._pixels, centre, round(radius * _FINE), colour, -1, cv2.LINE_AA)

    def line(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        first, last = ((round(x * _FINE), round(y * _FINE)) for x, y in (start, end))
        cv2.line(self._pixels, first, last, colour, round(width * _FINE), cv2.LINE_AA)

    def text(self, x: float, y: float, size: float, words: str, colour: Colour) -> None:
        """``x``, ``y``: left end of the base line; ``size``: height of a capital letter."""
        scale = size * _FINE / 21  # the height of Hershey's capitals
        place = (round(x * _FINE), round(y * _FINE))
        weight = round(scale * 2.2)
        cv2.putText(self._pixels, words, place, cv2.FONT_HERSHEY_DUPLEX, scale, colour, weight, cv2.LINE_AA)


def street() -> Iterator[NDArray[np.uint8]]:
    """RGB pictures of one round of eight seconds, without a seam at the end."""
    background = _background()
    for i in range(_FRAMES):
        angle = 2 * math.pi * i / _FRAMES
        canvas = background.copy()
        _person(canvas, 400 + 34 * math.sin(angle), 150 + 2 * math.sin(8 * angle))
        way = (WIDTH + _CAR_WIDTH) * i / _FRAMES
        _car(canvas, WIDTH - way, 336, _BLUE, facing=-1)
        _car(canvas, way - _CAR_WIDTH, 398, _RED, facing=1)
        yield canvas.finished()


def _background() -> _Canvas:
    canvas = _Canvas(_sky())
    canvas.disc(520, 214, 44, (255, 222, 176))
    for x, y, width in ((250, 150, 70), (330, 190, 90), (430, 130, 60), (500, 180, 80), (590, 140, 60)):
        canvas.box(x, y, width, 200, _FAR)
    for x, y, width in ((280, 220, 80), (372, 250, 70), (470, 230, 56), (560, 210, 90)):
        canvas.box(x, y, width, 120, _NEAR)
        for column in range(x + 10, x + width - 12, 18):
            for row in range(y + 12, 300, 22):
                if (column * 7 + row * 3) % 5 < 2:
                    canvas.box(column, row, 8, 11, _LIT)
    canvas.box(0, 312, WIDTH, 44, _PAVEMENT)
    canvas.box(0, 352, WIDTH, 8, _KERB)
    canvas.box(0, 360, WIDTH, HEIGHT - 360, _ROAD)
    for x in range(-20, WIDTH, 92):
        canvas.box(x, 412, 48, 6, _CREAM)
    _cafe(canvas)
    canvas.line((600, 100), (600, 330), 6, _DARK)
    canvas.line((600, 102), (566, 102), 6, _DARK)
    canvas.disc(566, 110, 10, _LIT)
    return canvas


def _sky() -> NDArray[np.uint8]:
    stops = np.array([_NIGHT, _DUSK, _GLOW], np.float32)
    heights = np.linspace(0, 1, HEIGHT * _FINE) * HEIGHT / 300
    column = np.stack([np.interp(heights, (0, 0.55, 1), stops[:, i]) for i in range(3)], axis=1)
    return np.repeat(column.astype(np.uint8)[:, np.newaxis], WIDTH * _FINE, axis=1)


def _cafe(canvas: _Canvas) -> None:
    canvas.box(18, 66, 250, 262, _WALL)
    canvas.box(8, 56, 270, 14, _TRIM)
    canvas.box(34, 84, 218, 52, _DARK)
    canvas.text(48, 119, 20, "CAFE LUMEN", _CREAM)
    canvas.box(40, 186, 124, 100, _TRIM)
    canvas.box(46, 192, 112, 88, _LIT)
    canvas.line((102, 192), (102, 280), 5, _TRIM)
    canvas.box(186, 186, 62, 142, _TRIM)
    canvas.box(194, 196, 46, 60, _LIT)
    for i in range(10):
        left, right = 28 + 23 * i, 51 + 23 * i
        colour = _CREAM if i % 2 else (204, 140, 104)
        canvas.shape([(left, 154), (right, 154), (right - 2, 186), (left - 2, 186)], colour)
        canvas.disc((left + right) / 2 - 2, 186, 11.5, colour)
    canvas.shape([(282, 262), (362, 262), (368, 340), (276, 340)], _TRIM)
    canvas.shape([(286, 267), (358, 267), (363, 332), (281, 332)], _DARK)
    canvas.text(295, 304, 15, "OPEN", _CREAM)


def _person(canvas: _Canvas, x: float, y: float) -> None:
    """Waves; its joints are where the pose network says that they are."""
    joints: list[Point] = [(x + 100 * across, y + 186 * down) for across, down in KEYPOINTS.tolist()]
    for start, end in _BONES:
        canvas.line(joints[start], joints[end], 15 if end < 11 else 18, _GREEN)
    nose_x, nose_y = joints[0]
    top, hem = nose_y + 24, joints[11][1] + 24
    canvas.shape([(nose_x - 20, top), (nose_x + 20, top), (nose_x + 24, hem), (nose_x - 24, hem)], _GREEN)
    canvas.disc(nose_x, nose_y - 3, 23, _GREEN)
    canvas.disc(nose_x, nose_y, 16, _SKIN)
    for wrist in (9, 10):
        canvas.disc(*joints[wrist], 8, _SKIN)


def _car(canvas: _Canvas, x: float, y: float, colour: Colour, *, facing: int) -> None:
    """`_CAR_WIDTH` × 63; ``x``, ``y`` is its upper left; ``facing`` 1 to the right."""

    def at(*corners: Point) -> list[Point]:
        return [(x + (across if facing > 0 else _CAR_WIDTH - across), y + down) for across, down in corners]

    canvas.shape(at((22, 24), (42, 0), (96, 0), (122, 24)), colour)
    canvas.shape(at((4, 26), (12, 22), (134, 22), (150, 32), (150, 50), (0, 50), (0, 32)), colour)
    canvas.shape(at((35, 22), (48, 6), (66, 6), (66, 22)), _CREAM)
    canvas.shape(at((72, 22), (72, 6), (93, 6), (109, 22)), _CREAM)
    canvas.shape(at((142, 30), (150, 32), (150, 40), (142, 40)), _LIT)
    for across in (32, 116):
        wheel = at((across, 50))[0]
        canvas.disc(*wheel, 13, _DARK)
        canvas.disc(*wheel, 6, _KERB)


async def take(path: Path) -> None:
    """Writes the picture of a live page as JPEG."""
    with tempfile.TemporaryDirectory() as directory:
        models = write_tiny_models(Path(directory))
        clip = Path(directory) / "street.mjpeg"
        write_camera_clip(clip, street(), WIDTH, HEIGHT)

        async def load(_metrics: Metrics) -> Engine:
            return await EmbeddedEngine.open(find_models(models), threads=0)

        async with serving(load, pose=True, ocr=True, flow=True) as address, chromium(clip=clip) as browser:
            page = await browser.new_page(
                viewport={"width": 1360, "height": 860}, permissions=["camera"], color_scheme="dark"
            )
            await page.goto(address)
            await page.get_by_label("Mirror").uncheck()
            await page.get_by_label("Exact boxes").check()
            await page.get_by_role("switch", name="Motion").check()
            await page.get_by_role("button", name="Start", exact=True).click()
            await expect(page.locator("#transport")).to_have_text("WebRTC")
            await page.wait_for_timeout(10_000)  # the browser finds out how much it may send; the plots fill
            objects = page.locator(".gauge", has_text="Objects").locator("output")
            await expect(objects).to_have_text("3")
            await page.get_by_role("switch", name="Text").check()
            await page.mouse.move(0, 0)
            await page.evaluate(_READ_NOW)  # the text is on the picture for a moment only
            await expect(page.locator("#log")).to_contain_text("CAFE LUMEN")
            await page.wait_for_timeout(800)  # reading took the processor from the rest
            path.parent.mkdir(exist_ok=True)
            await page.screenshot(path=path, type="jpeg", quality=88)


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if sys.argv[1:] else PICTURE))
