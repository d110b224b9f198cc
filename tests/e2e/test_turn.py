"""Media through a real coturn, set up as shipped, with the credentials that the server hands out."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mediaserver.child_process import free_ports
from mediaserver.client.client import InferenceClient, Refused, Unreachable
from mediaserver.settings.types import IceUrl, NetworkInterface, Secret
from signaling.messages import Result
from tests.support.listening import listens
from tests.support.live_server import LiveServer, live_server
from tests.support.waiting import eventually

TURNSERVER = shutil.which("turnserver")
SECRET = "north"
SHIPPED = Path(__file__).parents[2] / "deploy" / "coturn" / "turnserver.conf"
ON_LOOPBACK = """
listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port={port}
allow-loopback-peers
allowed-peer-ip=127.0.0.1
static-auth-secret={secret}
userdb={directory}/turndb
pidfile={directory}/turnserver.pid
log-file=stdout
relay-threads=1
no-tls
no-dtls
verbose
"""


@contextlib.asynccontextmanager
async def coturn(directory: Path) -> AsyncIterator[IceUrl]:
    """A TURN server of the test's own on loopback; yields its URL."""
    if TURNSERVER is None:
        pytest.skip("turnserver is not installed (Debian: coturn)")
    [port] = free_ports(1)
    config, log = directory / "turnserver.conf", directory / "turnserver.log"
    lines = ON_LOOPBACK.format(port=port, secret=SECRET, directory=directory)
    config.write_text(SHIPPED.read_text().replace("\nsyslog\n", "\n") + lines)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            TURNSERVER, "-c", str(config), stdout=output, stderr=output
        )
    try:
        # It takes TCP on the port of its UDP, which shows no sign of being open.
        await eventually(lambda: listens(port))
        yield IceUrl(f"turn:127.0.0.1:{port}")
    finally:
        process.kill()
        await process.wait()


def relaying(models: Path, turn: IceUrl, secret: str = SECRET, **settings: Any) -> Any:
    return live_server(
        models,
        ice_interfaces=(NetworkInterface("127.0.0.1"),),
        ice_servers=(turn,),
        turn_secret=Secret(secret),
        **settings,
    )


async def play(live: LiveServer, clip: Path) -> list[Result]:
    async with InferenceClient(live.socket_url, relay_only=True) as client:
        return [result async for result in client.stream(clip, 1.0)]


def bytes_relayed(log: Path) -> int:
    """What coturn sent on to peers, over all allocations that have ended."""
    return sum(map(int, re.findall(r"peer usage: .* sb=(\d+)", log.read_text())))


async def test_results_come_back_through_the_relay(tmp_path: Path, tiny_models: Path, clip: Path) -> None:
    async with coturn(tmp_path) as turn, relaying(tiny_models, turn) as live:
        results = await play(live, clip)
        assert any(result.detections for result in results)
        # All of the video, not only the checks of ICE.
        await eventually(lambda: bytes_relayed(tmp_path / "turnserver.log") > 10_000)


async def test_a_wrong_secret_is_a_clear_error(tmp_path: Path, tiny_models: Path, clip: Path) -> None:
    async with coturn(tmp_path) as turn, relaying(tiny_models, turn, secret="south") as live:
        with pytest.raises(Refused, match=r"TURN server 127\.0\.0\.1:\d+ .*wrong or expired.*401"):
            await play(live, clip)


async def test_expired_credentials_are_a_clear_error(tmp_path: Path, tiny_models: Path, clip: Path) -> None:
    async with coturn(tmp_path) as turn, relaying(tiny_models, turn, turn_ttl_s=-1) as live:
        with pytest.raises(Refused, match=r"TURN server 127\.0\.0\.1:\d+ .*wrong or expired.*401"):
            await play(live, clip)


async def test_a_turn_server_that_is_not_there_is_a_clear_error(tiny_models: Path, clip: Path) -> None:
    [port] = free_ports(1)
    nowhere = IceUrl(f"turn:127.0.0.1:{port}?transport=tcp")
    async with relaying(tiny_models, nowhere) as live:
        with pytest.raises(Unreachable, match=r"does not answer \(.+\)"):
            await play(live, clip)


async def test_relay_only_needs_a_turn_server(tiny_models: Path, clip: Path) -> None:
    async with live_server(tiny_models) as live:
        with pytest.raises(Refused, match="names no TURN server"):
            await play(live, clip)
