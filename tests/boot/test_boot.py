"""A machine boots, serves and mends itself: real systemd, nginx and Triton, and no manual step."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from signaling.codec import decode_server, encode
from signaling.messages import Closing, EndReason, Hello, Welcome
from tests.boot.conftest import SERVER, Running
from tests.boot.machine import wait_for
from tests.boot.visitor import is_ready, replay, trust, wait_until_ready

pytestmark = pytest.mark.boot


def signal_server(running: Running, number: signal.Signals) -> str:
    """Sends it to the server's main process; returns its process id on the machine."""
    pid = running.machine.show(SERVER, "MainPID")
    running.machine.run("systemctl", "kill", "--kill-whom=main", f"--signal={number.name}", SERVER)
    return pid


def wait_for_another(running: Running, pid: str, timeout_s: float) -> None:
    """Until systemd has started the server anew, and it takes sessions again."""
    machine = running.machine
    wait_for(
        lambda: machine.show(SERVER, "MainPID") not in (pid, "0"), timeout_s, lambda: machine.journal(SERVER)
    )
    wait_until_ready(running)


def test_everything_comes_up_in_order(running: Running) -> None:
    machine = running.machine
    # "degraded" were it if a unit, of anything, had failed.
    assert machine.run("sh", "-c", "systemctl is-system-running --wait || true").strip() == "running"
    triton, server, target = (
        int(machine.show(unit, "ActiveEnterTimestampMonotonic"))
        for unit in ("triton.service", SERVER, "mediaserver.target")
    )
    assert 0 < triton < server < target
    assert is_ready(running)


def test_a_clip_through_nginx_gives_results(running: Running, clip: Path) -> None:
    wait_until_ready(running)
    summary = replay(running, clip)
    assert int(str(summary["results"])) > 10
    assert "red" in str(summary["labels"])


def test_a_killed_server_is_started_again(running: Running, clip: Path) -> None:
    wait_until_ready(running)
    pid = signal_server(running, signal.SIGKILL)
    wait_for_another(running, pid, 30)
    assert int(str(replay(running, clip)["results"])) > 10


def test_a_hung_server_is_started_again(running: Running) -> None:
    """A stopped process feeds no watchdog, as an event loop that stands still."""
    wait_until_ready(running)
    pid = signal_server(running, signal.SIGSTOP)
    wait_for_another(running, pid, 60)
    journal = running.machine.journal(SERVER)
    assert "Watchdog timeout" in journal
    # Where it stood.
    assert "Fatal Python error: Aborted" in journal
    assert "run_forever" in journal or "in run" in journal


async def test_a_stop_tells_the_clients(running: Running) -> None:
    machine = running.machine
    await asyncio.to_thread(wait_until_ready, running)
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(running.socket_url, ssl=trust(running)) as socket:
            await socket.send_str(encode(Hello(token=running.token)))
            assert isinstance(decode_server(await socket.receive_str()), Welcome)
            await asyncio.to_thread(machine.run, "systemctl", "stop", SERVER)
            said = [decode_server(message.data) async for message in socket]
    assert isinstance(said[-1], Closing)
    assert said[-1].reason is EndReason.SERVER_SHUTDOWN
    assert machine.show(SERVER, "Result") == "success"
    machine.run("systemctl", "start", SERVER)
