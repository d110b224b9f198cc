"""Small modules of ``web/`` on their own, and their agreement with the Python side."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import pytest
import pytest_asyncio

from signaling.jpeg import parse_jpeg
from signaling.messages import PROTOCOL_VERSION, EndReason
from tests.web.browser import Page
from tests.web.server import never_loads, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address() -> AsyncIterator[str]:
    async with serving(never_loads, wait_ready=False) as url:
        yield url


async def test_wire_constants_are_those_of_the_server(page: Page, address: str) -> None:
    await page.goto(address)
    wire: dict[str, Any] = await page.evaluate("import('/shared/wire.js').then((wire) => ({ ...wire }))")
    assert wire["PROTOCOL_VERSION"] == PROTOCOL_VERSION
    assert wire["EndReason"] == {reason.name: reason.value for reason in EndReason}


async def test_every_failure_has_words(page: Page, address: str) -> None:
    await page.goto(address)
    codes, words = await page.evaluate(
        """async () => {
          const { FailureCode } = await import("/shared/failure.js");
          const { FAILURE_WORDS } = await import("/ui/words.js");
          return [Object.values(FailureCode), FAILURE_WORDS];
        }"""
    )
    assert set(words) == set(codes)
    assert all(entry["title"] and entry["advice"] for entry in words.values())


async def test_the_server_reads_the_capture_time_of_a_jpeg(page: Page, address: str) -> None:
    encoded, jpeg = cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))
    assert encoded
    await page.goto(address)
    stamped = await page.evaluate(
        """async (bytes) => {
          const { withCaptureTime } = await import("/engine/jpeg.js");
          const jpeg = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
          const stamped = withCaptureTime(jpeg, 1795441737965.625);
          return btoa(String.fromCharCode(...stamped));
        }""",
        base64.b64encode(jpeg.tobytes()).decode(),
    )
    frame = parse_jpeg(base64.b64decode(stamped))
    assert frame.capture_time_ms == 1795441737965.625
    assert (frame.width, frame.height) == (32, 24)


async def test_a_square_picture_in_a_canvas_of_200_by_100(page: Page, address: str) -> None:
    left_half = [0, 0, 0.5, 1]
    await page.goto(address)
    placed = await page.evaluate(
        """async (box) => {
          const { boxToCanvas, place } = await import("/engine/placement.js");
          const into = (fit, mirrored) => boxToCanvas(
            place(fit, { width: 480, height: 480 }, { width: 200, height: 100 }, mirrored), box);
          return [into("contain", false), into("contain", true), into("cover", false)];
        }""",
        left_half,
    )
    assert placed == [[50, 0, 50, 100], [100, 0, 50, 100], [0, -50, 100, 200]]


async def test_what_comes_late_has_no_place_in_the_state(page: Page, address: str) -> None:
    await page.goto(address)
    states = await page.evaluate(
        """async (events) => {
          const { PageMachine } = await import("/ui/state.js");
          const machine = new PageMachine();
          return events.map((event) => [machine.send(event), machine.state]);
        }""",
        ["live", "connect", "live", "lost", "stop", "live", "stopped", "fail"],
    )
    assert states == [
        [False, "idle"],
        [True, "connecting"],
        [True, "live"],
        [True, "reconnecting"],
        [True, "stopping"],
        [False, "stopping"],
        [True, "idle"],
        [False, "idle"],
    ]
