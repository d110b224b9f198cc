"""A browser whose server ends, or dies, while another one behind the same address lives."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.front import Front, front
from tests.support.live_server import LiveServer, live_server
from tests.support.waiting import eventually
from tests.web.browser import Page

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEGIN = """async () => {
    const { InferenceClient } = await import("/engine/client.js");
    const [track] = (await navigator.mediaDevices.getUserMedia({ video: true })).getVideoTracks();
    const url = `ws://${location.host}/ws/inference`;
    const client = (window.client = new InferenceClient({ url, track }));
    const seen = (window.seen = { results: [], states: [], nodes: [] });
    const take = ({ detail: { result } }) => seen.results.push([performance.now(), result.seq]);
    client.addEventListener("result", take);
    client.addEventListener("state", ({ detail }) => seen.states.push(detail.state));
    client.addEventListener("welcome", ({ detail }) => seen.nodes.push(detail.node));
    client.start();
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def nodes(tiny_models: Path) -> AsyncIterator[tuple[LiveServer, LiveServer, Front]]:
    async with (
        live_server(tiny_models, node="a", pose=False) as first,
        live_server(tiny_models, node="b", pose=False) as second,
        front(a=first.port, b=second.port) as before,
    ):
        yield first, second, before


async def seen(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate("() => window.seen")
    return found


@contextlib.asynccontextmanager
async def playing(page: Page, address: str) -> AsyncIterator[None]:
    await page.goto(address)
    await page.evaluate(BEGIN)
    await page.wait_for_function("() => window.client.transport === 'webrtc+datachannel'", timeout=20_000)
    await more(page)
    try:
        yield
    finally:
        await page.evaluate("() => window.client.close()")


async def more(page: Page, count: int = 10) -> None:
    wanted = len((await seen(page))["results"]) + count
    await page.wait_for_function(f"() => window.seen.results.length >= {wanted}", timeout=20_000)


async def test_it_has_results_of_the_next_server_before_it_leaves_the_one_that_ends(
    page: Page, nodes: tuple[LiveServer, LiveServer, Front]
) -> None:
    first, second, before = nodes
    async with playing(page, before.http_url):
        first.server.row.board.end_by(time.monotonic())
        told = len((await seen(page))["results"])
        await first.server.wind_down()
        await eventually(lambda: second.server.sessions == 1)
        await page.wait_for_function("() => window.client.transport === 'webrtc+datachannel'", timeout=20_000)
        await more(page, 20)
        found = await seen(page)
        assert found["nodes"] == ["a", "b"]
        assert found["states"] == ["connecting", "live"], "nobody notices"
        numbers = [number for _, number in found["results"]]
        assert numbers == sorted(set(numbers))
        times = [at for at, _ in found["results"][told - 1 :]]
        gap_ms = max(later - at for at, later in itertools.pairwise(times))
        print(f"longest gap {gap_ms:.0f} ms")
        assert gap_ms < 1500
        assert first.ended("moved") == 1


async def test_it_comes_back_to_the_server_that_has_its_session(
    page: Page, nodes: tuple[LiveServer, LiveServer, Front]
) -> None:
    first, second, before = nodes
    async with playing(page, before.http_url):
        before.nodes = {"b": second.port, "a": first.port}
        for connection in list(first.server._connections):
            connection._socket._request.transport.abort()  # type: ignore[attr-defined]
        await eventually(lambda: first.metric("sessions_resumed_total") == 1)
        await more(page)
        assert (await seen(page))["nodes"] == ["a", "a"]
        assert "a" in before.asked
        assert second.server.sessions == 0


async def test_a_server_that_is_gone_costs_the_session_and_nothing_else(
    page: Page, nodes: tuple[LiveServer, LiveServer, Front]
) -> None:
    first, second, before = nodes
    async with playing(page, before.http_url):
        before.nodes = {"b": second.port}
        for connection in list(first.server._connections):
            connection._socket._request.transport.abort()  # type: ignore[attr-defined]
        await eventually(lambda: second.server.sessions == 1)
        await more(page)
        found = await seen(page)
        assert found["nodes"] == ["a", "b"]
        numbers = [number for _, number in found["results"]]
        assert numbers == sorted(set(numbers))
