"""Several servers behind one address: the client comes back to its own, or begins anew at another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mediaserver.child_process import free_ports
from mediaserver.client.client import Channel, InferenceClient, Refused, Unreachable
from mediaserver.settings.types import TokenKeys
from signaling.auth import CLOCK_SKEW_S, Audience, sign
from signaling.messages import Result
from signaling.pipeline_config import PipelineConfig
from tests.support.clips import write_clip
from tests.support.front import Front, front
from tests.support.live_server import LiveServer, live_server
from tests.support.slow_engine import SlowEngine
from tests.support.token_vectors import KEYS
from tests.support.waiting import eventually

WISH = PipelineConfig(pose=False)


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "long.mp4", seconds=30, size=(320, 240))


class Watching:
    """A client that plays a clip, and when its results came."""

    def __init__(self, client: InferenceClient, clip: Path) -> None:
        self.client = client
        self.results: list[Result] = []
        self.times: list[float] = []
        self._clip = clip

    async def watch(self) -> None:
        async for result in self.client.stream(self._clip):
            self.results.append(result)
            self.times.append(time.monotonic())

    async def more(self, count: int = 5) -> None:
        wanted = len(self.results) + count
        await eventually(lambda: len(self.results) >= wanted, 20)

    @property
    def numbers(self) -> list[int]:
        return [result.seq for result in self.results]

    def longest_gap_s(self, since: float) -> float:
        times = [at for at in self.times if at >= since]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


@contextlib.asynccontextmanager
async def watching(
    address: str, clip: Path, channel: Channel = Channel.DATACHANNEL, token: str | None = None
) -> AsyncIterator[Watching]:
    async with InferenceClient(address, pipeline=WISH, channel=channel, token=token) as client:
        made = Watching(client, clip)
        task = asyncio.create_task(made.watch())
        try:
            await made.more()
            yield made
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.wait([task])


@contextlib.asynccontextmanager
async def two_nodes(models: Path) -> AsyncIterator[tuple[LiveServer, LiveServer, Front]]:
    async with (
        live_server(models, node="a") as first,
        live_server(models, node="b") as second,
        front(a=first.port, b=second.port) as before,
    ):
        yield first, second, before


async def cut(node: LiveServer) -> None:
    for connection in list(node.server._connections):
        transport = connection._socket._request.transport  # type: ignore[attr-defined]
        transport.abort()


async def test_a_client_comes_back_to_the_node_that_has_its_session(
    tiny_models: Path, long_clip: Path
) -> None:
    async with two_nodes(tiny_models) as (first, second, before):
        before.nodes = {"b": second.port, "a": first.port}
        async with watching(before.socket_url, long_clip) as seen:
            assert seen.client.welcome.node == "b"
            before.nodes = {"a": first.port, "b": second.port}
            await cut(second)
            await eventually(lambda: seen.client.stats.reconnects)
            await seen.more()
            assert before.asked == [None, "b"]
            assert seen.client.welcome.resumed
        assert first.metric("sessions_started_total") == 0


@pytest.mark.parametrize("channel", [Channel.DATACHANNEL, Channel.WEBSOCKET, Channel.JPEG])
async def test_a_client_that_is_told_to_move_has_the_next_session_before_it_leaves(
    tiny_models: Path, long_clip: Path, channel: Channel
) -> None:
    async with two_nodes(tiny_models) as (first, _second, before):
        async with watching(before.socket_url, long_clip, channel) as seen:
            assert seen.client.welcome.node == "a"
            told_at = time.monotonic()
            first.server.row.board.end_by(told_at)
            await first.server.wind_down()
            await eventually(lambda: seen.client.welcome.node == "b")
            await seen.more(20)
            assert before.asked == [None, None], "it asks for no node that ends"
            assert seen.numbers == sorted(set(seen.numbers)), "the numbering goes on"
            assert all(result.poses is None for result in seen.results), "and its wishes hold"
            gap_s = seen.longest_gap_s(told_at - 0.5)
            print(f"{channel}: no result for {gap_s * 1000:.0f} ms at most")
            assert gap_s < 1.5, "there is no pause in which it has no server"
        assert first.ended("moved") == 1
        assert first.server.sessions == 0


async def test_the_server_that_is_left_gives_results_until_the_next_one_does(
    tiny_models: Path, long_clip: Path
) -> None:
    """Which takes its time here; a client that left at once would have nothing meanwhile."""
    slow_s = 1.5
    async with (
        live_server(tiny_models, node="a") as first,
        live_server(tiny_models, lambda engine: SlowEngine(engine, delay_s=slow_s), node="b") as second,
        front(a=first.port, b=second.port) as before,
        watching(before.socket_url, long_clip) as seen,
    ):
        first.server.row.board.end_by(told_at := time.monotonic())
        await first.server.wind_down()
        floor = seen.client.welcome.seq_floor
        await eventually(lambda: seen.numbers[-1] > floor > 0, 20)
        assert seen.numbers == sorted(set(seen.numbers))
        assert seen.longest_gap_s(told_at) < slow_s
        await eventually(lambda: first.server.sessions == 0)


async def test_who_has_to_move_is_let_in_though_his_token_has_expired(
    tiny_models: Path, long_clip: Path
) -> None:
    keys = TokenKeys(json.dumps(KEYS))
    async with (
        live_server(tiny_models, node="a", token_keys=keys) as first,
        live_server(tiny_models, node="b", token_keys=keys) as second,
        front(a=first.port, b=second.port) as before,
    ):
        good_for_a_moment = sign("ada", KEYS, Audience.SESSION, time.time() - CLOCK_SKEW_S + 2)
        async with watching(before.socket_url, long_clip, token=good_for_a_moment) as seen:
            await asyncio.sleep(3)
            with pytest.raises(Refused, match="expired"):
                async with InferenceClient(before.socket_url, token=good_for_a_moment):
                    pass
            first.server.row.board.end_by(time.monotonic())
            await first.server.wind_down()
            await eventually(lambda: seen.client.welcome.node == "b")
            await seen.more()


async def test_a_node_that_is_gone_costs_the_session_and_nothing_else(
    tiny_models: Path, long_clip: Path
) -> None:
    async with contextlib.AsyncExitStack() as node, live_server(tiny_models, node="b") as second:
        first = await node.enter_async_context(live_server(tiny_models, node="a"))
        async with front(a=first.port, b=second.port) as before:
            async with watching(before.socket_url, long_clip) as seen:
                before.nodes = {"b": second.port}  # as a node that died: what it says is heard by nobody
                await cut(first)
                await eventually(lambda: seen.client.welcome.node == "b")
                await seen.more()
                assert not seen.client.welcome.resumed
                assert seen.numbers == sorted(set(seen.numbers))


async def test_where_there_are_keys_the_next_session_has_the_id_of_the_one_that_is_gone(
    tiny_models: Path, long_clip: Path
) -> None:
    keys = TokenKeys(json.dumps(KEYS))
    async with (
        contextlib.AsyncExitStack() as node,
        live_server(tiny_models, node="b", token_keys=keys) as second,
    ):
        first = await node.enter_async_context(live_server(tiny_models, node="a", token_keys=keys))
        ada = sign("ada", KEYS, Audience.SESSION, time.time() + 600)
        async with (
            front(a=first.port, b=second.port) as before,
            watching(before.socket_url, long_clip, token=ada) as seen,
        ):
            session = seen.client.welcome.session
            before.nodes = {"b": second.port}
            await cut(first)
            await eventually(lambda: seen.client.welcome.node == "b")
            await seen.more()
            assert (seen.client.welcome.session, seen.client.welcome.resumed) == (session, False)
            assert seen.numbers == sorted(set(seen.numbers))


async def test_a_node_that_has_no_place_for_who_comes_back_is_asked_once(
    tiny_models: Path, long_clip: Path
) -> None:
    async with live_server(tiny_models, node="a") as live:
        async with watching(live.socket_url, long_clip) as seen:
            session = seen.client.welcome.session
            [(token, _)] = live.server._registry._entries.items()
            live.server._registry._forget(token)  # as if it had begun anew
            await cut(live)
            await eventually(lambda: seen.client.welcome.session != session)
            await seen.more()
            assert not seen.client.welcome.resumed


async def test_a_program_waits_for_a_place(tiny_models: Path) -> None:
    notices: list[str] = []
    async with live_server(tiny_models, max_sessions=1) as live:
        async with InferenceClient(live.socket_url):
            with pytest.raises(Unreachable, match="try again in 10 s"):
                async with InferenceClient(live.socket_url):
                    pass
            began = time.monotonic()
            with pytest.raises(Unreachable, match="try again in 10 s"):
                async with InferenceClient(live.socket_url, wait_s=1.0, on_notice=notices.append):
                    pass
            assert time.monotonic() - began >= 0.9
        [words] = notices
        assert words.endswith("waiting for 1 s at most")


async def test_a_program_waits_for_a_server_that_is_not_there_yet(tiny_models: Path) -> None:
    [port] = free_ports(1)

    async def begin() -> str:
        async with InferenceClient(f"ws://127.0.0.1:{port}/ws/inference", wait_s=30.0) as client:
            return client.welcome.session

    beginning = asyncio.create_task(begin())
    await asyncio.sleep(0.3)
    async with live_server(tiny_models, port=port):
        assert await beginning
