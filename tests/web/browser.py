"""Real Chromium, and clips for its fake camera."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("playwright.async_api", reason="Playwright for Python is not installed")
from playwright.async_api import Browser, Page, async_playwright, expect

__all__ = ["FAKE_CAMERA", "Browser", "Page", "camera_clip_of", "chromium", "expect", "write_camera_clip"]

expect.set_options(timeout=20_000)
"""Only a test that fails waits as long. Five seconds, Playwright's own, are too few beside other tests."""

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
FAKE_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


def chromium_path() -> str:
    """Debian's Chromium, or what ``CHROMIUM`` names; skips the test where there is none."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium in PATH (Debian: apt-get install chromium)")
    return path


@contextlib.asynccontextmanager
async def chromium(*flags: str, clip: Path | None = None, path: Path | None = None) -> AsyncIterator[Browser]:
    """A browser, by ``path`` if that is given; with ``clip`` (.mjpeg) its camera shows it in a loop."""
    if clip is not None:
        flags = (*flags, *FAKE_CAMERA, f"--use-file-for-fake-video-capture={clip}")
    async with async_playwright() as tool:
        browser = await tool.chromium.launch(executable_path=path or chromium_path(), args=[*_FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


def write_camera_clip(path: Path, pictures: Iterable[NDArray[np.uint8]], width: int, height: int) -> None:
    """Motion JPEG at 30 fps of RGB ``pictures``, uint8 [height, width, 3]."""
    with av.open(str(path), "w", format="mjpeg") as clip:
        stream = clip.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        stream.codec_context.qmin, stream.codec_context.qmax = 2, 6
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            clip.mux(stream.encode(frame.reformat(format="yuvj420p", dst_color_range="JPEG")))
        clip.mux(stream.encode())


def camera_clip_of(video: Path, path: Path, seconds: float) -> None:
    """The first seconds of a video as a clip for the fake camera."""
    with av.open(str(video)) as container:
        width, height = container.streams.video[0].width, container.streams.video[0].height
        frames = itertools.takewhile(lambda frame: (frame.time or 0) < seconds, container.decode(video=0))
        pictures = (np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames)
        write_camera_clip(path, pictures, width, height)
