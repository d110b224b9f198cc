"""A Triton that gets slower step by step, and what its sessions go without meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from pathlib import Path

import aiohttp
import pytest

from mediaserver.models.local_triton import TritonPorts, triton_server
from tests.support.jpeg_client import JpegClient, jpeg_client
from tests.support.live_server import LiveServer, live_server, served_by
from tests.support.triton_models import write_paced_repository
from tests.support.waiting import eventually

SHORT_S, INTERVAL_S, PATIENCE_S = 1.5, 4.0, 4.0


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decides the same in less time."""
    times = {"SHORT_S": SHORT_S, "INTERVAL_S": INTERVAL_S, "PATIENCE_S": PATIENCE_S, "RELAPSE_S": 1.0}
    for name, seconds in times.items():
        monkeypatch.setattr(f"inference.load_shedding._{name}", seconds)


async def rate(client: JpegClient, seconds: float = 2.0) -> float:
    before = len(client.results)
    await asyncio.sleep(seconds)
    return (len(client.results) - before) / seconds


def share_with(client: JpegClient, stage: str, last: int = 20) -> float:
    """Of the last results, how many have something of this stage."""
    return sum(result[stage] is not None for result in client.results[-last:]) / last


async def new_session(live: LiveServer) -> tuple[int, str | None]:
    """Status and Retry-After of the answer to an upgrade."""
    async with aiohttp.ClientSession() as http:
        try:
            async with http.ws_connect(live.socket_url):
                return 101, None
        except aiohttp.WSServerHandshakeError as exc:
            return exc.status, (exc.headers or {}).get("Retry-After")


async def test_stages_give_way_in_order_and_come_back(
    triton_binary: Path, tiny_models: Path, jpeg: bytes, tmp_path: Path
) -> None:
    pace = tmp_path / "pace"
    pace.write_text("0.002")
    repository = write_paced_repository(tmp_path / "repository", tiny_models, pace)
    asked = {"detect": True, "pose": True, "flow": True, "interval_s": 1 / 15}
    async with (
        triton_server(triton_binary, repository, TritonPorts.free()) as triton,
        live_server(tiny_models, rate_hints=False, **served_by(triton)) as live,
        contextlib.AsyncExitStack() as stack,
    ):
        first = await stack.enter_async_context(jpeg_client(live, jpeg, **asked))
        second = await stack.enter_async_context(jpeg_client(live, jpeg, priority=["pose"], **asked))
        assert await rate(first, 3.0) > 9
        assert first.degraded == []

        pace.write_text("0.03")  # 33 runs a second, where 40 are needed
        await eventually(lambda: "pose" in (first.degraded or [[]])[-1], 30)
        assert first.degraded == [["flow"], ["flow", "pose"]]
        await eventually(lambda: second.degraded == [["flow"], ["flow", "detect"]])
        assert live.metric("stages_degraded", stage="pose") == 1
        assert live.metric("stages_degraded", stage="detect") == 0
        assert await rate(first) >= 8
        assert share_with(first, "detections") == 1.0
        assert 0.4 <= share_with(first, "poses") <= 0.6
        assert share_with(second, "poses") == 1.0, "it said what matters to it"
        assert 0.4 <= share_with(second, "detections") <= 0.6
        assert share_with(first, "motion") == 0.0

        pace.write_text("0.08")  # 12 runs a second
        await eventually(lambda: first.degraded[-1] == ["flow", "pose", "detect"], 20)
        await eventually(lambda: live.server.refusal() is not None, 20)
        status, retry_after = await new_session(live)
        assert (status, retry_after) == (503, "10")
        assert live.server.refusal().reason == "overloaded"
        assert await rate(first, 3.0) > 1, "who is there stays"
        ages = [result["timing_ms"]["total"] for result in first.results[-10:]]
        assert max(ages) < 1000

        told = len(first.degraded)
        pace.write_text("0.001")
        await eventually(lambda: first.degraded[-1] == [], 60)
        assert first.degraded[told:] == [["flow", "pose"], ["flow"], []]
        assert (await new_session(live))[0] == 101
        assert await rate(first, 3.0) > 9
        assert first.states == []


async def test_changes_are_far_apart(
    triton_binary: Path, tiny_models: Path, jpeg: bytes, tmp_path: Path
) -> None:
    """Too slow for all, and fast enough without pose, which is tried again, ever less often."""
    pace = tmp_path / "pace"
    pace.write_text("0.03")
    repository = write_paced_repository(tmp_path / "repository", tiny_models, pace)
    changes: list[float] = []
    async with (
        triton_server(triton_binary, repository, TritonPorts.free()) as triton,
        live_server(tiny_models, rate_hints=False, **served_by(triton)) as live,
        jpeg_client(live, jpeg, interval_s=1 / 15, detect=True, pose=True) as client,
        jpeg_client(live, jpeg, interval_s=1 / 15, detect=True, pose=True),
    ):
        deadline = time.monotonic() + 25
        while time.monotonic() < deadline:
            seen = len(client.degraded)
            await asyncio.sleep(0.05)
            changes += [time.monotonic()] * (len(client.degraded) - seen)
    assert changes
    gaps = [later - earlier for earlier, later in itertools.pairwise(changes)]
    assert all(gap > INTERVAL_S - 1.0 for gap in gaps)
