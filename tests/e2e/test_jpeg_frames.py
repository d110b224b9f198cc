"""Pictures as small cameras and phones write them, over the WebSocket."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.exif import with_orientation
from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import live_server
from tests.support.waiting import eventually


@pytest.mark.parametrize("behind", [b"", b"\r\n", b"\x00\x00\x01\n" + b"x" * 40 + b"SEFT"])
async def test_bytes_behind_the_picture_do_no_harm(tiny_models: Path, jpeg: bytes, behind: bytes) -> None:
    async with live_server(tiny_models) as live, jpeg_client(live, jpeg + behind) as client:
        await eventually(lambda: client.detecting)
        assert len(client.results[-1]["detections"]) == 1


async def test_results_are_of_the_picture_as_it_is_shown(tiny_models: Path, jpeg: bytes) -> None:
    """A square at (100, 80) of 320×240, 80 wide and high; turned clockwise it is at (80, 100) of 240×320."""
    async with live_server(tiny_models) as live, jpeg_client(live, with_orientation(jpeg, 6)) as client:
        await eventually(lambda: client.detecting)
        frame, [found] = client.results[-1]["frame"], client.results[-1]["detections"]
    assert (frame["width"], frame["height"]) == (240, 320)
    x, y, width, height = found["box"]
    assert (x * 240, y * 320) == pytest.approx((80, 100), abs=12)
    assert (width * 240, height * 320) == pytest.approx((80, 80), abs=16)
