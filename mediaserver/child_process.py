"""Runs a server as a child process: finds free ports, waits until it is ready, and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket

import aiohttp

from mediaserver.errors import AddressError

_ASK_AGAIN_S = 0.1
_PORTS = range(20_000, 32_768)
"""Ports to try. Linux uses local ports from 32768 on for outgoing connections, macOS and Windows from 49152.

So no outgoing connection can take a free port below before the server binds it.
"""


class NotReady(Exception):
    """The process did not become ready. The message continues its name, as in ``ended with status 1``."""


def free_ports(count: int, *preferred: int) -> list[int]:
    """Returns ``count`` different free TCP ports of 127.0.0.1, those of ``preferred`` first.

    Raises `mediaserver.errors.AddressError` if there are fewer.
    """
    found: list[int] = []
    for port in dict.fromkeys((*preferred, *random.sample(_PORTS, len(_PORTS)))):
        if len(found) == count:
            return found
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.append(int(probe.getsockname()[1]))
    raise AddressError("no free port on 127.0.0.1")


async def wait_until_ready(process: asyncio.subprocess.Process, url: str, timeout_s: float) -> None:
    """Waits until ``url`` answers 200. Raises `NotReady` if the process ends, or after ``timeout_s``."""
    try:
        async with asyncio.timeout(timeout_s), aiohttp.ClientSession() as http:
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(url) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(_ASK_AGAIN_S)
    except TimeoutError as exc:
        raise NotReady(f"was not ready within {timeout_s:g} s") from exc
    raise NotReady(f"ended with status {process.returncode}")


async def stop(process: asyncio.subprocess.Process, timeout_s: float, *, group: bool = False) -> None:
    """Stops the process: SIGTERM, then SIGKILL after ``timeout_s``, or if the caller is cancelled.

    With ``group`` the process leads a process group, which is killed, too. Idempotent.
    """
    try:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(process.pid, signal.SIGKILL)
            elif process.returncode is None:
                process.kill()
        await process.wait()
