"""The files of ``deploy/nginx`` in a real nginx, before several real servers."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from tests.support.gateway import gateway, visitor
from tests.support.live_server import live_server
from tests.support.waiting import eventually


async def test_several_servers_share_the_sessions(tiny_models: Path, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(live_server(tiny_models)) for _ in range(2)]
        front = await stack.enter_async_context(gateway(tmp_path, [one.port, other.port]))
        http = await stack.enter_async_context(visitor(front))
        for _ in range(4):
            await stack.enter_async_context(http.ws_connect("/ws/inference"))
        assert {live.metric("connections_open") for live in (one, other)} == {2}
        one.server.pause(60, if_idle=False)
        for _ in range(3):  # one takes nobody: the other takes all
            await stack.enter_async_context(http.ws_connect("/ws/inference"))
        await eventually(lambda: other.metric("connections_open") == 5)


async def test_who_comes_back_reaches_the_server_that_has_his_session(
    tiny_models: Path, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        names = ["gpu-1", "gpu-2", "gpu-3"]
        servers = [await stack.enter_async_context(live_server(tiny_models, node=name)) for name in names]
        front = await stack.enter_async_context(
            gateway(tmp_path, [live.port for live in servers], nodes=names, sessions_an_address=100)
        )
        http = await stack.enter_async_context(visitor(front))

        async def greeted(node: str | None = None, **hello: object) -> tuple[Any, Any]:
            asked = {} if node is None else {"node": node}
            socket = await stack.enter_async_context(http.ws_connect("/ws/inference", params=asked))
            await socket.send_json({"type": "hello", "channel": "websocket", **hello})
            return socket, await socket.receive_json(timeout=5)

        greetings = [await greeted() for _ in range(6)]
        assert {welcome["node"] for _, welcome in greetings} == {*names}
        servers[0].server.pause(60, if_idle=False)  # it drains: its own still find it
        for _ in range(2):
            for socket, welcome in greetings:
                await socket.close()
                _, again = await greeted(welcome["node"], resume=welcome["resume_token"])
                assert (again["resumed"], again["session"]) == (True, welcome["session"])
        _, elsewhere = await greeted("no-such-node")
        assert elsewhere["node"] in names[1:]


async def test_all_servers_are_asked_for_a_place(tiny_models: Path, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(live_server(tiny_models, max_sessions=2)) for _ in range(5)
        ]
        front = await stack.enter_async_context(gateway(tmp_path, [live.port for live in servers]))
        http = await stack.enter_async_context(visitor(front))
        for live in servers[:4]:
            assert live.server.row.take_place(None, 1) is None
            assert live.server.row.take_place(None, 1) is None
        for _ in range(12):
            async with http.ws_connect("/ws/inference") as socket:
                await socket.send_json({"type": "hello"})
                assert (await socket.receive_json(timeout=5))["type"] == "welcome"
            await eventually(lambda: servers[4].server.row.board.places_taken < 2)
