from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from mediaserver.models.local_triton import TritonPorts, TritonServerError, fetch, free_ports, triton_server
from tests.support.triton_models import write_tiny_repository
from tests.support.waiting import eventually


def group_is_gone(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return True
    return False


def shared_memory(ports: TritonPorts) -> list[str]:
    return [name for name in os.listdir("/dev/shm") if f"triton-{os.getpid()}-{ports.grpc}-" in name]


async def test_a_killed_server_leaves_nothing_behind(
    triton_binary: Path, tiny_models: Path, tmp_path: Path
) -> None:
    ports = free_ports()
    write_tiny_repository(tmp_path, tiny_models)
    async with triton_server(triton_binary, tmp_path, ports) as triton:
        assert shared_memory(ports)
        os.kill(triton.process.pid, signal.SIGKILL)
        await eventually(lambda: triton.process.returncode is not None)
    await eventually(lambda: group_is_gone(triton.process.pid))
    assert not shared_memory(ports)


async def test_why_it_does_not_start_is_told(triton_binary: Path, tmp_path: Path) -> None:
    (tmp_path / "detect").mkdir()
    (tmp_path / "detect" / "config.pbtxt").write_text('name: "detect" backend: "steam"')
    with pytest.raises(TritonServerError, match=r"Triton ended with status 1: .*"):
        async with triton_server(triton_binary, tmp_path, free_ports()):
            pytest.fail("it cannot have started")


def test_a_triton_that_cannot_be_fetched_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(TritonServerError, match=r"cannot fetch nvidia-pytriton 0\.7\.0: "):
        fetch()
    assert list((tmp_path / "mediaserver").iterdir()) == []


async def test_the_command_serves_until_it_is_told_to_stop(triton_binary: Path, tiny_models: Path) -> None:
    ports = free_ports()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediaserver", "triton", "start", "--models", str(tiny_models)),
        *(
            "--http-port",
            str(ports.http),
            "--grpc-port",
            str(ports.grpc),
            "--metrics-port",
            str(ports.metrics),
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        assert f"gRPC 127.0.0.1:{ports.grpc}" in line
        with socket.create_connection(("127.0.0.1", ports.grpc), timeout=5):
            pass
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports.grpc), timeout=5)
