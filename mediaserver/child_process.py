"""A server in a process of its own: waiting until it is ready, and ending it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import aiohttp

_ASK_AGAIN_S = 0.1


class NotReady(Exception):
    """The process did not become ready; the message goes on from its name: ``ended with status 1``."""


async def wait_until_ready(process: asyncio.subprocess.Process, url: str, timeout_s: float) -> None:
    """Returns when ``url`` answers 200. Raises `NotReady` when the process ends before, or time is up."""
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
    """Ends the process: SIGTERM, then SIGKILL where it takes longer than ``timeout_s``, or where the caller
    is cancelled meanwhile. With ``group`` it leads a process group, and what it has started is killed too.
    Idempotent."""
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
