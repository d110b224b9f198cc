from __future__ import annotations

import asyncio
import sys

import pytest

from mediaserver.child_process import NotReady, stop, wait_until_ready
from tests.support.free_port import free_ports


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


async def test_a_process_that_ignores_SIGTERM_is_killed() -> None:
    process = await python(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=1); time.sleep(60)"
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await stop(process, timeout_s=0.2)
    assert process.returncode == -9
