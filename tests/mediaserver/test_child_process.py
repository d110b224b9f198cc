from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

import pytest

from mediaserver.child_process import NotReady, free_ports, stop, wait_until_ready
from mediaserver.errors import AddressError
from tests.support.waiting import eventually


async def python(program: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def test_a_process_is_ready_when_it_answers_200() -> None:
    (port,) = free_ports(1)
    process = await python(
        "import runpy, sys; runpy.run_module('http.server', run_name='__main__')",
        "--bind",
        "127.0.0.1",
        str(port),
    )
    try:
        await wait_until_ready(process, f"http://127.0.0.1:{port}/", timeout_s=30)
    finally:
        await stop(process, timeout_s=10)
    assert process.returncode == -15
    await stop(process, timeout_s=10)


async def test_a_process_that_ends_before_is_told() -> None:
    process = await python("raise SystemExit(3)")
    with pytest.raises(NotReady, match="ended with status 3"):
        await wait_until_ready(process, f"http://127.0.0.1:{free_ports(1)[0]}/", timeout_s=30)


async def test_a_process_that_never_answers_is_told() -> None:
    process = await python("import time; time.sleep(60)")
    try:
        with pytest.raises(NotReady, match=r"was not ready within 0\.3 s"):
            await wait_until_ready(process, f"http://127.0.0.1:{free_ports(1)[0]}/", timeout_s=0.3)
    finally:
        await stop(process, timeout_s=10)


async def test_what_a_process_has_started_ends_with_its_group() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '60'])"), start_new_session=True
    )
    await eventually(lambda: len(members(process.pid)) == 2)
    await stop(process, timeout_s=10, group=True)
    await eventually(lambda: not members(process.pid))


def members(group: int) -> list[int]:
    """The processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, leader = stat.read_text().rpartition(") ")[2].split()[:3]
            found += [int(stat.parent.name)] if int(leader) == group and state != "Z" else []
    return found


async def test_who_is_cancelled_while_it_ends_leaves_no_process() -> None:
    process = await python(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=1); time.sleep(60)"
    )
    assert process.stdout is not None
    await process.stdout.readline()
    stopping = asyncio.create_task(stop(process, timeout_s=60))
    await asyncio.sleep(0.1)
    stopping.cancel()
    await asyncio.wait([stopping])
    assert process.returncode == -9


async def test_a_process_that_ignores_SIGTERM_is_killed() -> None:
    process = await python(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=1); time.sleep(60)"
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await stop(process, timeout_s=0.2)
    assert process.returncode == -9


def test_ports_are_free_different_and_out_of_the_way_of_outgoing_connections() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        [port] = free_ports(1, taken.getsockname()[1])
        assert port < 32_768
    ports = free_ports(3, port)
    assert ports[0] == port
    assert len(set(ports)) == 3


def test_more_ports_than_there_are_is_an_error() -> None:
    with pytest.raises(AddressError, match="no free port"):
        free_ports(100_000)
