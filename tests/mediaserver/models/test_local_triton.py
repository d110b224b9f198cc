from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import sysconfig
from pathlib import Path

import psutil
import pytest

from mediaserver.models import local_triton
from mediaserver.models.local_triton import TritonPorts, TritonServerError, fetch, triton_server
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
    ports = TritonPorts.free()
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
        async with triton_server(triton_binary, tmp_path, TritonPorts.free()):
            pytest.fail("it cannot have started")


def test_a_triton_that_cannot_be_fetched_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(TritonServerError, match=r"cannot fetch nvidia-pytriton 0\.7\.0: "):
        fetch()
    assert list((tmp_path / "mediaserver").iterdir()) == []


STUB = "triton_python_backend_stub"


@pytest.fixture
def fetched(triton_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's folder in a cache of its own: the real programs, without their libraries."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    wheel = tmp_path / "mediaserver" / triton_binary.parents[1].name
    return Path(shutil.copytree(triton_binary, wheel / "pytriton" / "tritonserver"))


def test_libraries_that_are_missing_are_named(fetched: Path) -> None:
    with pytest.raises(TritonServerError, match=r"^Triton needs .*libtritonserver-\w+\.so.*: not found"):
        fetch()


def test_pythons_library_is_named_with_its_package(
    triton_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Debian whose Python came without it, whatever the loader finds elsewhere."""
    variables = {"LIBDIR": str(tmp_path), "Py_ENABLE_SHARED": 1}
    monkeypatch.setattr(sysconfig, "get_config_var", variables.get)
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
    words = rf"^Triton needs {name}\.so\.1\.0, which is not installed: apt-get install {name} \("
    with pytest.raises(TritonServerError, match=words):
        fetch()


async def test_models_run_with_this_pythons_own_library(
    triton_binary: Path, tiny_models: Path, tmp_path: Path
) -> None:
    """The wheel has another one for Python 3.13, which does not fit Debian's modules."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    library = Path(sysconfig.get_config_var("LIBDIR")) / name
    if not library.is_file():
        pytest.skip(f"this Python was built without {name}")
    write_tiny_repository(tmp_path, tiny_models)
    async with triton_server(triton_binary, tmp_path, TritonPorts.free()) as triton:
        stubs = [
            process
            for process in psutil.Process(triton.process.pid).children(recursive=True)
            if process.name().startswith(STUB[:15])
        ]
        loaded = {Path(item.path) for stub in stubs for item in stub.memory_maps()}
    assert stubs
    assert library.resolve() in loaded


async def test_what_it_says_on_each_machine_without_a_gpu_is_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in Triton's place that says it, too, and does not become ready."""
    server = tmp_path / "bin" / "tritonserver"
    server.parent.mkdir()
    said = 'E1130 13:01:50.212928 8 server.cc:241] \\"CudaDriverHelper has not been initialized.\\"'
    server.write_text(f'#!/bin/sh\necho "{said}" >&2\nexec sleep 60\n')
    server.chmod(0o755)
    monkeypatch.setattr(local_triton, "_READY_TIMEOUT_S", 1.0)
    with pytest.raises(TritonServerError, match=r"^Triton was not ready within 1 s$"):
        async with triton_server(tmp_path, tmp_path, TritonPorts.free()):
            pytest.fail("it cannot have started")


async def test_the_command_serves_until_it_is_told_to_stop(triton_binary: Path, tiny_models: Path) -> None:
    ports = TritonPorts.free()
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
