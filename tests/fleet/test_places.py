"""Which node a client comes to, and comes back to, through a real Envoy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from inference.engines.contract import Engine
from mediaserver.client.connector import Connector
from mediaserver.client.link import Link
from mediaserver.server.core import MediaServer
from signaling.messages import Closing, Hello, Welcome
from signaling.websocket import SignalingSocket
from tests.fleet.stage import light_fleet
from tests.support.live_server import raw_socket
from tests.support.slow_engine import SlowEngine
from tests.support.waiting import eventually
from tests.support.whip_client import whip_client

_WAIT_S = 30.0


@contextlib.asynccontextmanager
async def connector(address: str) -> AsyncIterator[Connector]:
    async with Connector(address, lambda message: None) as made:
        yield made


async def join(made: Connector) -> tuple[Link, Welcome]:
    return await made.connect_first(Hello, _WAIT_S, lambda words: None)


async def lose(link: Link) -> None:
    """As the network would: the server hears no goodbye."""
    assert link._socket is not None
    connection = link._socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()
    await link.close()


async def test_after_a_blip_each_client_finds_its_own_session(tiny_models: Path, tmp_path: Path) -> None:
    async with (
        light_fleet(tmp_path, tiny_models, 3) as (front, nodes),
        contextlib.AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(connector(front.socket_url)) for _ in range(50)]
        joined = await asyncio.gather(*map(join, clients))
        assert {welcome.node for _, welcome in joined} == {*nodes}
        for link, _ in joined:
            await lose(link)

        async def come_back(client: Connector, welcome: Welcome) -> bool:
            hello = Hello(resume=welcome.resume_token)
            link, again = await client.connect_patiently(lambda: hello, 0.0, _WAIT_S)
            stack.push_async_callback(link.close)
            return again.resumed and again.session == welcome.session

        pairs = [(client, welcome) for client, (_, welcome) in zip(clients, joined, strict=True)]
        assert await asyncio.gather(*(come_back(*pair) for pair in pairs)) == [True] * 50


async def test_one_free_node_of_ten_is_found_by_all(tiny_models: Path, tmp_path: Path) -> None:
    async with light_fleet(tmp_path, tiny_models, 10, max_sessions=4) as (front, nodes):
        *full, free = nodes.values()
        for node in full:
            for _ in range(4):
                assert node.server.row.take_place(None, 1) is None
        took_s = []
        for _ in range(30):
            async with connector(front.socket_url) as client:
                began = time.monotonic()
                link, welcome = await client.connect(Hello())
                took_s.append(time.monotonic() - began)
                assert welcome.node == free.server.settings.node_name
                await link.close()
            await eventually(lambda: free.server.row.board.places_taken == 0)
        p50, p99 = np.percentile(took_s, (50, 99)) * 1000
        print(f"a place on the one free node of ten: {p50:.0f} ms (p50), {p99:.0f} ms (p99)")
        assert p50 < 1000


async def test_a_burst_fills_all_nodes_and_none_over_its_limit(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All share this event loop and one address: nobody is to be taken for dead, or for too many, for that.
    monkeypatch.setattr("mediaserver.server.core._MAX_GREETING_OF_ONE", 256)
    settings: dict[str, Any] = {"max_sessions": 50, "liveness_timeout_s": 60.0}
    async with (
        light_fleet(tmp_path, tiny_models, 4, **settings) as (front, nodes),
        contextlib.AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(connector(front.socket_url)) for _ in range(200)]
        staying: list[asyncio.Task[Closing]] = []

        async def stay(client: Connector) -> None:
            link, _ = await join(client)
            stack.push_async_callback(link.close)
            staying.append(asyncio.create_task(link.read()))

        began = time.monotonic()
        await asyncio.gather(*map(stay, clients))
        print(f"a burst of 200 for 200 places: all in after {time.monotonic() - began:.1f} s")
        assert [task.result() for task in staying if task.done()] == []
        assert [node.server.row.board.places_taken for node in nodes.values()] == [50] * 4
        assert not any(task.done() for task in staying)
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await http.ws_connect(front.socket_url)


async def test_a_node_that_drains_takes_its_own_and_nobody_else(tiny_models: Path, tmp_path: Path) -> None:
    async with light_fleet(tmp_path, tiny_models, 2) as (front, nodes):
        async with connector(front.socket_url) as client, connector(front.socket_url) as other:
            link, welcome = await client.connect(Hello())
            node = nodes[welcome.node]
            assert node.server.pause(60, if_idle=False)
            await front.sees(1)
            await lose(link)
            hello = Hello(resume=welcome.resume_token)
            back, again = await client.connect_patiently(lambda: hello, 0.0, _WAIT_S)
            assert (again.node, again.resumed) == (welcome.node, True)
            somewhere, elsewhere = await other.connect(Hello())
            assert elsewhere.node != welcome.node
            await back.close()
            await somewhere.close()


class Reachable(SlowEngine):
    """An engine that may be out of reach, as a Triton that is restarted."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, delay_s=0.0)
        self.away: str | None = None

    @property
    def trouble(self) -> str | None:
        return self.away


async def test_a_node_whose_models_are_away_keeps_its_sessions_and_gets_no_new_ones(
    tiny_models: Path, tmp_path: Path
) -> None:
    engines: list[Reachable] = []

    def reachable(engine: Engine) -> Engine:
        engines.append(Reachable(engine))
        return engines[-1]

    async with light_fleet(tmp_path, tiny_models, 2, reachable) as (front, nodes):
        engine_of = dict(zip(nodes, engines, strict=True))
        async with raw_socket(front) as socket:
            await socket.send_json({"type": "hello", "channel": "websocket"})
            welcome = await socket.receive_json(timeout=5)
            node, engine = welcome["node"], engine_of[welcome["node"]]
            engine.away = "Triton is away"
            await front.sees(1)
            told = await socket.receive_json(timeout=5)
            assert (told["type"], told["state"]) == ("event", "degraded")
            for _ in range(4):
                async with connector(front.socket_url) as client:
                    link, elsewhere = await client.connect(Hello())
                    assert elsewhere.node != node
                    await link.close()
            async with raw_socket(front, node=node) as again:
                await again.send_json({"type": "hello", "resume": welcome["resume_token"]})
                assert (await again.receive_json(timeout=5))["resumed"]
            engine.away = None
            await front.sees(2)


async def test_the_client_s_address_is_passed_on_and_cannot_be_made_up(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[str] = []
    connect = MediaServer.connect

    async def noting(
        self: MediaServer, socket: SignalingSocket, address: str, *, comes_back: bool = False
    ) -> None:
        addresses.append(address)
        await connect(self, socket, address, comes_back=comes_back)

    monkeypatch.setattr(MediaServer, "connect", noting)
    async with light_fleet(tmp_path, tiny_models, 1) as (front, _):
        from_elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.77", 0))
        async with aiohttp.ClientSession(connector=from_elsewhere) as http:
            headers = {"X-Forwarded-For": "198.51.100.7"}
            url = front.socket_url.replace("localhost", "127.0.0.1")
            async with http.ws_connect(url, headers=headers) as socket:
                await socket.send_json({"type": "hello"})
                assert (await socket.receive_json(timeout=5))["type"] == "welcome"
    assert addresses == ["127.0.0.77"]


@pytest.mark.parametrize("path", ["metrics", "drain", "metrics?x", "//metrics", "ui/../metrics"])
async def test_what_is_for_each_node_by_itself_is_closed(
    tiny_models: Path, tmp_path: Path, path: str
) -> None:
    async with light_fleet(tmp_path, tiny_models, 1) as (front, _), aiohttp.ClientSession() as http:
        async with http.get(front.http_url + path) as answer:
            assert answer.status == 403


async def test_nodes_that_are_all_gone_are_said_so_in_words_that_clients_know(tmp_path: Path) -> None:
    from mediaserver.child_process import free_ports
    from tests.support.envoy import envoy

    [nobody] = free_ports(1)
    async with envoy(tmp_path, ["127.0.1.1"], nobody) as front:
        connector = aiohttp.TCPConnector(ssl=front.trust())
        async with aiohttp.ClientSession(front.http_url, connector=connector) as http:
            async with http.get("/ws/inference") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
                assert await answer.json() == {"error": "unavailable", "retry_after_s": 2}
                assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_publisher_comes_back_to_the_node_that_has_its_session(
    tiny_models: Path, tmp_path: Path
) -> None:
    async with light_fleet(tmp_path, tiny_models, 3) as (front, nodes):
        for _ in range(3):
            async with whip_client(front) as publisher:
                taken = [node for node in nodes.values() if node.server.sessions]
                assert len(taken) == 1
                assert await publisher.delete() == 200
                assert taken[0].ended("bye") >= 1
