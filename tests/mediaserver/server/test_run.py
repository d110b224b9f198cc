from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from mediaserver.errors import AddressError, ModelError, SettingsError
from mediaserver.server.run import serve
from mediaserver.settings.model import Settings
from mediaserver.settings.types import NetworkInterface
from tests.support.server_process import ServerProcess, server_process
from tests.support.waiting import eventually


def test_interfaces_that_are_not_there_end_the_start() -> None:
    with pytest.raises(SettingsError, match=r"'nowhere0', which names no address .* it has .*lo"):
        serve(Settings(ice_interfaces=(NetworkInterface("nowhere0"),)))


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which someone listens who would even share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.usefixtures("root_logger")
def test_workers_do_not_share_a_port_with_a_stranger(taken_port: int, tiny_models: Path) -> None:
    with pytest.raises(AddressError, match=rf"cannot listen on 127.0.0.1:{taken_port}: Address already"):
        serve(Settings(port=taken_port, models=tiny_models, workers=2))


@pytest.mark.usefixtures("root_logger")
def test_models_that_are_not_there_end_the_start_before_there_is_a_worker(tiny_models: Path) -> None:
    with pytest.raises(ModelError, match="no-such-model"):
        serve(Settings(port=0, models=tiny_models, detect_model="no-such-model", workers=2))


class Systemd:
    """Listens as systemd does, and starts nothing anew."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()

    async def told(self) -> str:
        """The next message."""
        return (await asyncio.get_running_loop().sock_recv(self._socket, 1000)).decode()

    async def until(self, words: str) -> None:
        """Reads until a message has these words."""
        async with asyncio.timeout(30):
            while words not in await self.told():
                pass

    async def until_silent(self, seconds: float) -> None:
        """Reads until no message has come for so long."""
        async with asyncio.timeout(30):
            with contextlib.suppress(TimeoutError):
                while True:
                    await asyncio.wait_for(self.told(), seconds)


@contextlib.asynccontextmanager
async def under_systemd(
    folder: Path, models: Path, **settings: object
) -> AsyncIterator[tuple[Systemd, ServerProcess]]:
    with contextlib.closing(Systemd(folder)) as systemd:
        environment = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "3000000"}
        async with server_process(models, wait_ready=False, environment=environment, **settings) as server:
            yield systemd, server


async def test_systemd_hears_when_the_models_answer_and_no_more_when_the_event_loop_hangs(
    tiny_models: Path, tmp_path: Path
) -> None:
    async with under_systemd(tmp_path, tiny_models) as (systemd, server):
        await systemd.until("READY=1")
        assert server.lines("ready: ")
        for _ in range(2):
            await systemd.until("WATCHDOG=1")
        server.process.send_signal(signal.SIGUSR1)
        await systemd.until_silent(seconds=2.5)
        server.process.kill()


async def test_systemd_hears_that_the_server_stops(tiny_models: Path, tmp_path: Path) -> None:
    async with under_systemd(tmp_path, tiny_models) as (systemd, server):
        await systemd.until("READY=1")
        server.process.terminate()
        await systemd.until("STOPPING=1")
        assert await asyncio.wait_for(server.process.wait(), 10) == 0


async def test_a_worker_that_hangs_is_replaced_while_the_other_serves(
    tiny_models: Path, tmp_path: Path
) -> None:
    async with under_systemd(tmp_path, tiny_models, workers=2) as (systemd, server):
        await systemd.until("READY=1")
        assert len(server.lines("ready: ")) == 2
        os.kill(server.pid_of(1), signal.SIGUSR1)
        await eventually(lambda: server.lines("worker hangs, killed"), 20)
        await eventually(lambda: len(server.lines("ready: ")) == 3, 20)
        assert [line["worker"] for line in server.lines("worker hangs, killed")] == [1]
        await systemd.until("WATCHDOG=1")


async def test_before_the_models_answer_one_worker_says_so_and_takes_nobody(
    tiny_models: Path, tmp_path: Path
) -> None:
    nowhere = {"engine": "triton", "triton_urls": "127.0.0.1:1"}
    async with under_systemd(tmp_path, tiny_models, workers=2, **nowhere) as (systemd, server):
        await eventually(lambda: server.lines("listening on"), 30)
        assert "READY=1" not in await systemd.told()
        async with aiohttp.ClientSession() as http:
            for _ in range(10):
                async with http.get(f"{server.http_url}readyz") as answer:
                    assert (answer.status, (await answer.json())["state"]) == (503, "loading")
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await http.ws_connect(server.socket_url)
        assert [line["worker"] for line in server.lines("listening on")] == [0]


@pytest.mark.parametrize("workers", [1, 2])
async def test_after_sigterm_sessions_go_on_and_their_clients_come_back_until_the_last_has_left(
    tiny_models: Path, workers: int
) -> None:
    settings = {"workers": workers, "drain_timeout_s": 300, "node": "gpu-1"}
    async with server_process(tiny_models, **settings) as server, aiohttp.ClientSession() as http:
        first = await http.ws_connect(server.socket_url)
        await first.send_str('{"type":"hello"}')
        welcome = await first.receive_json(timeout=5)
        server.process.terminate()
        await eventually(lambda: server.lines("draining"))
        async with http.get(f"{server.http_url}readyz") as answer:
            assert (answer.status, (await answer.json())["state"]) == (503, "draining")
        async with http.get(f"{server.http_url}healthz") as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await http.ws_connect(server.socket_url)
        await first.close()
        again = await http.ws_connect(f"{server.socket_url}?node=gpu-1")
        await again.send_str(json.dumps({"type": "hello", "resume": welcome["resume_token"]}))
        if workers == 1:  # of several any may be met
            assert (await again.receive_json(timeout=5))["session"] == welcome["session"]
        assert server.process.returncode is None
        await again.send_str('{"type":"bye"}')
        await again.close()
        if workers > 1:
            server.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(server.process.wait(), 20) == 0


async def test_who_asks_twice_does_not_want_to_wait(tiny_models: Path) -> None:
    async with server_process(tiny_models, drain_timeout_s=300) as server, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(server.socket_url)
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        server.process.terminate()
        await eventually(lambda: server.lines("draining"))
        server.process.terminate()
        assert (await socket.receive_json(timeout=5))["reason"] == "server_shutdown"
        assert await asyncio.wait_for(server.process.wait(), 20) == 0


async def test_a_single_server_ends_at_once(tiny_models: Path) -> None:
    async with server_process(tiny_models) as server, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(server.socket_url)
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        server.process.terminate()
        assert (await socket.receive_json(timeout=5))["reason"] == "server_shutdown"
        assert await asyncio.wait_for(server.process.wait(), 20) == 0
