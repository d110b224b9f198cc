"""Nodes that end, die and come back, and a front that is away, while sessions live: real processes all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaserver.client.client import Channel, InferenceClient
from mediaserver.models.local_triton import TritonPorts, triton_server
from signaling.messages import ServerState
from tests.fleet.lan import Lan, NoLan, lan
from tests.fleet.stage import Fleet, Viewer, fleet, viewers
from tests.support.clips import write_clip
from tests.support.triton_models import write_tiny_repository
from tests.support.waiting import eventually

BOTH = (Channel.DATACHANNEL, Channel.JPEG)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "long.mp4", seconds=90, size=(160, 120), fps=15)


async def until_results(watching: list[Viewer], timeout_s: float = 20.0) -> None:
    """Each has new ones from now on."""
    marks = [len(viewer.results) for viewer in watching]
    await eventually(
        lambda: all(len(viewer.results) > mark + 3 for viewer, mark in zip(watching, marks, strict=True)),
        timeout_s,
    )


async def test_who_was_on_a_node_that_is_killed_has_results_again_from_another(
    tiny_models: Path, tmp_path: Path, long_clip: Path
) -> None:
    async with (
        fleet(tmp_path, tiny_models, 2) as nodes,
        viewers(nodes.front.socket_url, long_clip, BOTH * 2) as watching,
    ):
        assert {viewer.node for viewer in watching} == {*nodes.nodes}
        victim = watching[0].node
        hit = [viewer for viewer in watching if viewer.node == victim]
        spared = [viewer for viewer in watching if viewer.node != victim]
        nodes.nodes[victim].process.kill()
        killed_at = time.monotonic()
        await eventually(lambda: all(viewer.node != victim for viewer in hit), 20)
        await until_results(watching)
        gap_s = max(viewer.longest_gap_s(killed_at, time.monotonic()) for viewer in hit)
        print(f"killed: results again after {gap_s * 1000:.0f} ms at most")
        assert gap_s < 8
        assert all(viewer.client.stats.reconnects == 0 for viewer in spared)
        for viewer in hit:
            numbers = [result.seq for result in viewer.results]
            assert numbers == sorted(set(numbers))


async def test_a_node_that_hangs_is_left_though_it_still_takes_connections(
    tiny_models: Path, tmp_path: Path, long_clip: Path
) -> None:
    async with (
        fleet(tmp_path, tiny_models, 2) as nodes,
        viewers(nodes.front.socket_url, long_clip, BOTH) as watching,
    ):
        victim = watching[0].node
        hit = [viewer for viewer in watching if viewer.node == victim]
        process = nodes.nodes[victim].process
        process.send_signal(signal.SIGSTOP)
        try:
            stopped_at = time.monotonic()
            await eventually(lambda: all(viewer.node != victim for viewer in hit), 25)
            await until_results(hit)
            gap_s = max(viewer.longest_gap_s(stopped_at, time.monotonic()) for viewer in hit)
            print(f"hung: results again after {gap_s * 1000:.0f} ms at most")
        finally:
            process.send_signal(signal.SIGCONT)


async def restart(nodes: Fleet, name: str, watching: list[Viewer]) -> tuple[float, float]:
    """Ends a node as an upgrade would and starts it anew. Returns the longest time without results of those
    who had to move, and of the others: how much of it is the machine's own."""
    old = nodes.nodes[name]
    moved = [viewer for viewer in watching if viewer.node == name]
    asked_at = time.monotonic()
    old.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(1.0)
    assert all(viewer.node == name for viewer in moved), "nobody is cut before the deadline"
    assert all(viewer.client.welcome.node == name for viewer in moved)
    assert await asyncio.wait_for(old.process.wait(), 60) == 0
    await until_results(watching)
    until = time.monotonic()
    gaps = [viewer.longest_gap_s(asked_at, until) for viewer in moved]
    others = [viewer.longest_gap_s(asked_at, until) for viewer in watching if viewer not in moved]
    assert [line["reason"] for line in old.lines("session ended")] == ["moved"] * len(moved)
    await nodes.start(name)
    await nodes.front.sees(len(nodes.nodes))
    return max(gaps, default=0.0), max(others, default=0.0)


async def test_a_rolling_restart_cuts_nobody(tiny_models: Path, tmp_path: Path, long_clip: Path) -> None:
    async with (
        fleet(tmp_path, tiny_models, 3, drain_timeout_s=2, max_sessions=12) as nodes,
        viewers(nodes.front.socket_url, long_clip, BOTH * 3) as watching,
    ):
        began = time.monotonic()
        pairs = [await restart(nodes, name, watching) for name in list(nodes.nodes)]
        gaps, others = zip(*pairs, strict=True)
        words = f"no results for {max(gaps) * 1000:.0f} ms at most; {max(others) * 1000:.0f} of who stayed"
        print(f"rolling restart: {words}")
        assert max(gaps) < 2
        assert max(viewer.longest_gap_s(began, time.monotonic()) for viewer in watching) < 5
        for viewer in watching:
            numbers = [result.seq for result in viewer.results]
            assert numbers == sorted(set(numbers)), "the numbering never goes back"


async def test_sessions_outlive_their_front(tiny_models: Path, tmp_path: Path, long_clip: Path) -> None:
    """What goes over the data channel passes no front."""
    async with (
        fleet(tmp_path, tiny_models, 1) as nodes,
        viewers(nodes.front.socket_url, long_clip, [Channel.DATACHANNEL] * 2) as watching,
    ):
        await asyncio.sleep(2)  # for the data channels
        sessions = [viewer.client.welcome.session for viewer in watching]
        await nodes.front.kill()
        killed_at = time.monotonic()
        await asyncio.sleep(10)
        gap_s = max(viewer.longest_gap_s(killed_at, time.monotonic()) for viewer in watching)
        print(f"front away for 10 s: no result for {gap_s * 1000:.0f} ms at most")
        assert gap_s < 2.5
        await nodes.front.start()
        await eventually(lambda: all(viewer.client.stats.reconnects for viewer in watching), 20)
        await until_results(watching)
        assert [viewer.client.welcome.session for viewer in watching] == sessions


async def test_a_triton_that_dies_costs_its_node_no_session_and_new_ones_go_elsewhere(
    triton_binary: Path, tiny_models: Path, tmp_path: Path, long_clip: Path
) -> None:
    write_tiny_repository(tmp_path / "repository", tiny_models)
    async with contextlib.AsyncExitStack() as stack:
        tritons = [
            await stack.enter_async_context(triton_server(triton_binary, tmp_path / "repository", ports))
            for ports in (TritonPorts.free(), TritonPorts.free())
        ]
        own = [{"triton_urls": triton.grpc} for triton in tritons]
        nodes = await stack.enter_async_context(fleet(tmp_path, tiny_models, 2, own=own, engine="triton"))
        watching = await stack.enter_async_context(
            viewers(nodes.front.socket_url, long_clip, [Channel.DATACHANNEL, Channel.JPEG] * 2)
        )
        victim = next(iter(nodes.nodes))
        hit = [viewer for viewer in watching if viewer.node == victim]
        assert hit
        os.killpg(tritons[0].process.pid, signal.SIGKILL)
        await nodes.front.sees(1)
        await eventually(lambda: all(ServerState.DEGRADED in viewer.states for viewer in hit))
        for _ in range(4):
            async with InferenceClient(nodes.front.socket_url) as client:
                assert client.welcome.node != victim
        await until_results(watching)
        assert all(viewer.client.stats.reconnects == 0 for viewer in watching)
        assert nodes.nodes[victim].process.returncode is None


@pytest.fixture
def machines() -> Iterator[Lan]:
    try:
        with lan(2) as made:
            yield made
    except NoLan as exc:
        pytest.skip(str(exc))


async def test_who_was_on_a_node_whose_cable_is_pulled_has_results_again_from_another(
    tiny_models: Path, tmp_path: Path, long_clip: Path, machines: Lan
) -> None:
    async with (
        fleet(tmp_path, tiny_models, 2, machines) as nodes,
        viewers(nodes.front.socket_url, long_clip, BOTH * 2) as watching,
    ):
        victim = watching[0].node
        hit = [viewer for viewer in watching if viewer.node == victim]
        machines.pull(victim)
        pulled_at = time.monotonic()
        await eventually(lambda: all(viewer.node != victim for viewer in hit), 30)
        await until_results(watching)
        gap_s = max(viewer.longest_gap_s(pulled_at, time.monotonic()) for viewer in hit)
        print(f"cable pulled: results again after {gap_s * 1000:.0f} ms at most")
        assert gap_s < 12
        assert nodes.nodes[victim].process.returncode is None
        machines.plug(victim)
        await nodes.front.sees(2)
        async with InferenceClient(nodes.front.socket_url) as client:
            assert client.welcome.node == victim, "it has the fewest sessions"
