"""Several workers behind one port: what a client, an operator and Prometheus see of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import psutil
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from mediaserver.client.client import Channel, InferenceClient
from tests.support.clips import write_clip
from tests.support.server_process import ServerProcess, server_process
from tests.support.waiting import eventually

KEY = "a key of more than 32 bytes, for tests"
BOTH_ASKED = 24
"""So many new connections reach both of two workers, but for one time in eight million."""


def signed(audience: str) -> str:
    claims = {"aud": audience, "sub": "test", "exp": int(time.time()) + 600}
    return jwt.encode(claims, KEY, algorithm="HS256", headers={"kid": "k1"})


@contextlib.asynccontextmanager
async def fresh_http() -> AsyncIterator[aiohttp.ClientSession]:
    """Each request over a connection of its own, so that any worker may get it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        yield http


class Visitor:
    """A client that says hello on a bare socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, welcome: dict[str, Any]) -> None:
        self.socket = socket
        self.welcome = welcome

    async def answers(self) -> bool:
        await self.socket.send_str('{"type":"ping"}')
        return bool((await self.socket.receive_json(timeout=5))["type"] == "pong")

    async def leave(self) -> None:
        await self.socket.send_str('{"type":"bye"}')
        await self.socket.close()


async def visit(http: aiohttp.ClientSession, server: ServerProcess, resume: str | None = None) -> Visitor:
    """Where all places are taken it tries again: one who has just left may be counted for a moment."""
    async with asyncio.timeout(10):
        socket = None
        while socket is None:
            with contextlib.suppress(aiohttp.WSServerHandshakeError):
                socket = await http.ws_connect(server.socket_url)
    await socket.send_str(json.dumps({"type": "hello", "token": signed("mediaserver"), "resume": resume}))
    return Visitor(socket, await socket.receive_json(timeout=5))


async def visit_worker(http: aiohttp.ClientSession, server: ServerProcess, worker: int) -> Visitor:
    """Comes in again and again until that worker serves it."""
    while True:
        visitor = await visit(http, server)
        session = visitor.welcome["session"]
        await eventually(lambda: any(line["session"] == session for line in server.lines("session started")))  # noqa: B023
        if server.worker_of(session) == worker:
            return visitor
        await visitor.leave()


async def metric(
    http: aiohttp.ClientSession, server: ServerProcess, name: str, **labels: str
) -> float | None:
    async with http.get(f"{server.http_url}metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    for family in families:
        for sample in family.samples:
            if sample.name == f"mediaserver_{name}" and sample.labels == labels:
                return float(sample.value)
    return None


async def until_metric(
    http: aiohttp.ClientSession, server: ServerProcess, name: str, value: float, **labels: str
) -> None:
    async with asyncio.timeout(10):
        while await metric(http, server, name, **labels) != value:  # noqa: ASYNC110 - it is asked for
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tiny_models: Path) -> AsyncIterator[ServerProcess]:
    keys = {"MEDIASERVER_TOKEN_KEYS": json.dumps({"k1": KEY})}
    async with server_process(tiny_models, workers=2, max_sessions=3, environment=keys) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
class TestTogether:
    """One server with two workers for all of these."""

    async def test_the_limit_of_sessions_is_for_all_workers(self, server: ServerProcess) -> None:
        async with fresh_http() as http:
            visitors = [await visit_worker(http, server, worker) for worker in (0, 1, 1)]
            for _ in range(BOTH_ASKED):
                async with http.get(server.socket_url.replace("ws", "http", 1)) as refused:
                    assert (refused.status, (await refused.json())["error"]) == (503, "full")
            for visitor in visitors:
                await visitor.leave()
            await until_metric(http, server, "connections_open", 0)

    async def test_a_drain_counts_all_workers_and_holds_in_all(self, server: ServerProcess) -> None:
        async with fresh_http() as http:

            async def drain(*, if_idle: bool, for_s: int) -> tuple[int, Any]:
                headers = {"Authorization": f"Bearer {signed('mediaserver-control')}"}
                body = {"if_idle": if_idle, "for_s": for_s}
                async with http.post(f"{server.http_url}drain", json=body, headers=headers) as answer:
                    return answer.status, await answer.json()

            visitor = await visit_worker(http, server, 1)
            for _ in range(BOTH_ASKED):
                assert await drain(if_idle=True, for_s=60) == (409, {"sessions": 1})
            assert await drain(if_idle=False, for_s=60) == (200, {"sessions": 1})
            assert await visitor.answers()
            await visitor.leave()
            await until_metric(http, server, "sessions_live", 0)
            assert await drain(if_idle=True, for_s=60) == (200, {"sessions": 0})
            for _ in range(BOTH_ASKED):
                async with http.get(f"{server.http_url}readyz") as answer:
                    assert (answer.status, (await answer.json())["state"]) == (503, "draining")
                with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                    await http.ws_connect(server.socket_url)
            assert await drain(if_idle=True, for_s=0) == (200, {"sessions": 0})
            await (await visit_worker(http, server, 0)).leave()
            await (await visit_worker(http, server, 1)).leave()

    async def test_a_session_is_taken_up_by_its_worker_and_another_begins_anew_under_its_id(
        self, server: ServerProcess
    ) -> None:
        async with fresh_http() as http:
            first = await visit_worker(http, server, 0)
            token = first.welcome["resume_token"]
            await first.socket.close()
            seen = set()
            while seen != {True, False}:
                again = await visit(http, server, token)
                assert again.welcome["type"] == "welcome"
                assert again.welcome["session"] == first.welcome["session"]
                seen.add(again.welcome["resumed"])
                if not again.welcome["resumed"]:
                    await again.leave()

    async def test_sessions_are_spread_evenly(self, server: ServerProcess) -> None:
        async with fresh_http() as http:
            await until_metric(http, server, "connections_open", 0)
            visitors = [await visit(http, server) for _ in range(2)]
            sessions = [visitor.welcome["session"] for visitor in visitors]
            await eventually(
                lambda: {line["session"] for line in server.lines("session started")} >= {*sessions}
            )
            assert {server.worker_of(session) for session in sessions} == {0, 1}
            for visitor in visitors:
                await visitor.leave()

    async def test_metrics_are_the_same_whoever_answers(self, server: ServerProcess) -> None:
        async with fresh_http() as http:
            await until_metric(http, server, "connections_open", 0)
            visitors = [await visit_worker(http, server, worker) for worker in (0, 1)]
            started = len(server.lines("session started"))
            for _ in range(BOTH_ASKED):
                assert await metric(http, server, "connections_open") == 2
            assert await metric(http, server, "sessions_started_total") == started - sum(
                line["resumed"] for line in server.lines("session started")
            )
            for visitor in visitors:
                await visitor.leave()


async def test_a_worker_that_is_killed_takes_only_its_own_sessions_and_they_come_back(
    tiny_models: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "long.mp4", seconds=30, size=(320, 240))
    async with server_process(tiny_models, workers=2) as server, fresh_http() as http:
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(InferenceClient(server.socket_url, channel=Channel.JPEG))
                for _ in range(5)
            ]
            workers = {0, 1}
            first_sessions = [client.welcome.session for client in clients]
            await eventually(lambda: len(server.lines("session started")) == len(clients))
            while {server.worker_of(session) for session in first_sessions} != workers:
                extra = InferenceClient(server.socket_url, channel=Channel.JPEG)
                clients.append(await stack.enter_async_context(extra))
                first_sessions.append(extra.welcome.session)
                await eventually(lambda: len(server.lines("session started")) == len(clients))
            watching = [asyncio.create_task(watch(client, clip)) for client in clients]
            await eventually(lambda: all(client.stats.results for client in clients), 20)
            started = await metric(http, server, "sessions_started_total")
            assert started == len(clients)

            os.kill(server.pid_of(0), signal.SIGKILL)
            victims = [c for c in clients if server.worker_of(c.welcome.session) == 0]
            others = [c for c in clients if c not in victims]
            marks = {client: client.stats.results for client in victims}
            await eventually(lambda: all(client.stats.reconnects for client in victims), 5)
            await eventually(lambda: all(c.stats.results > marks[c] for c in victims), 5)

            assert not any(client.welcome.resumed for client in victims)
            assert not any(client.stats.reconnects for client in others)
            await until_metric(http, server, "connections_open", len(clients))
            assert await metric(http, server, "sessions_started_total") == started + len(victims)
            await eventually(lambda: len(server.lines("listening on")) == 3, 20)
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)


async def watch(client: InferenceClient, clip: Path) -> None:
    async for _ in client.stream(clip):
        pass


@pytest.mark.parametrize("workers", [1, 2])
async def test_clients_of_a_server_that_is_restarted_are_told_and_come_back(
    tiny_models: Path, tmp_path: Path, workers: int
) -> None:
    clip = write_clip(tmp_path / "long.mp4", seconds=30, size=(320, 240))
    async with contextlib.AsyncExitStack() as stack:
        async with server_process(tiny_models, workers=workers) as server:
            port = server.port
            clients = [
                await stack.enter_async_context(InferenceClient(server.socket_url, channel=Channel.JPEG))
                for _ in range(4)
            ]
            watching = [asyncio.create_task(watch(client, clip)) for client in clients]
            await eventually(lambda: all(client.stats.results for client in clients), 20)
            children = psutil.Process(server.process.pid).children()
            stopped_at = time.monotonic()
            server.process.terminate()
            assert await asyncio.wait_for(server.process.wait(), 10) == 0
            assert not any(child.is_running() for child in children)
        assert [line["reason"] for line in server.lines("session ended")] == ["server_shutdown"] * 4
        marks = {client: client.stats.results for client in clients}
        async with server_process(tiny_models, workers=workers, port=port):
            # How soon it is ready is the machine's affair; from then on it is the clients'.
            ready_at = time.monotonic()
            await eventually(lambda: all(c.stats.results > marks[c] for c in clients), 15)
            now = time.monotonic()
            print(f"results again {now - ready_at:.1f} s after ready, {now - stopped_at:.1f} s after SIGTERM")
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)


async def test_workers_end_when_their_parent_crashes(tiny_models: Path) -> None:
    async with server_process(tiny_models, workers=2) as server, fresh_http() as http:
        visitor = await visit(http, server)
        workers = psutil.Process(server.process.pid).children()
        server.process.kill()
        closing = await visitor.socket.receive_json(timeout=10)
        assert (closing["type"], closing["reason"]) == ("closing", "server_shutdown")
        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, timeout=10)
        assert not alive


async def test_ready_means_all_workers(tiny_models: Path) -> None:
    """Asked as soon as it answers, over a new connection each time: once ready, all listen."""
    async with server_process(tiny_models, workers=3, wait_ready=False) as server, fresh_http() as http:
        await eventually(lambda: server.text.count("listening on ") >= 1, 30)
        states = []
        while "ready" not in states:
            async with http.get(f"{server.http_url}readyz") as answer:
                states.append((await answer.json())["state"])
        workers = psutil.Process(server.process.pid).children()
        listening = [
            connection
            for worker in workers
            for connection in worker.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == server.port
        ]
        assert len(listening) == 3, states
        assert set(states) <= {"loading", "ready"}
