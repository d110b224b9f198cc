from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

if TYPE_CHECKING:  # tests.web.browser skips whoever imports it where there is no Playwright
    from playwright.async_api import Browser, Page

CLIP_WIDTH, CLIP_HEIGHT = 320, 240
CLIP_FRAMES = 150


def red_thing() -> Iterator[NDArray[np.uint8]]:
    """A red block that goes to and fro on grey, ``CLIP_FRAMES`` long, without a seam at the end."""
    for i in range(CLIP_FRAMES):
        picture = np.full((CLIP_HEIGHT, CLIP_WIDTH, 3), 60, np.uint8)
        angle = 2 * math.pi * i / CLIP_FRAMES
        x = round(130 + 100 * math.sin(angle))
        y = round(80 + 40 * math.cos(2 * angle))
        picture[y : y + 80, x : x + 60] = (230, 20, 20)
        yield picture


@pytest.fixture(scope="session")
def red_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.web.browser import write_camera_clip

    path = tmp_path_factory.mktemp("camera") / "red.mjpeg"
    write_camera_clip(path, red_thing(), CLIP_WIDTH, CLIP_HEIGHT)
    return path


@pytest.fixture(scope="session")
def red_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of the red thing, as WebM."""
    path = tmp_path_factory.mktemp("film") / "red.webm"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libvpx", rate=30)
        stream.width, stream.height, stream.pix_fmt = CLIP_WIDTH, CLIP_HEIGHT, "yuv420p"
        for picture in itertools.islice(red_thing(), 30):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())
    return path


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(red_clip: Path) -> AsyncIterator[Browser]:
    """Chromium whose camera shows the red thing."""
    from tests.web.browser import chromium

    async with chromium(clip=red_clip) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address() -> AsyncIterator[str]:
    """Of a server that finds the red thing."""
    from tests.web.server import RedThingDetector, loading, serving

    async with serving(loading(RedThingDetector())) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A fresh page; the test fails on any uncaught error in it. What it printed, and which requests failed,
    stands in the report of a test that fails."""
    context = await browser.new_context(viewport={"width": 1360, "height": 860}, permissions=["camera"])
    opened = await context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: print("console:", message.text))
    opened.on("requestfailed", lambda request: print("failed:", request.url, request.failure))
    yield opened
    await context.close()
    assert errors == []
