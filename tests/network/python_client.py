"""Our Python client on the other side of a `Stage`, in a process there.

``python -m tests.network.python_client SOCKET_URL CLIP CHANNEL SECONDS`` prints a line of JSON for each
result, as it comes, and for what the user is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from mediaserver.client.channel import Channel
from mediaserver.client.client import InferenceClient
from tests.network.arrivals import Arrival
from tests.network.stage import Stage


@dataclass
class PythonClient:
    """What it has got so far."""

    results: list[Arrival] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    reconnects: int = 0


async def _play(url: str, clip: str, channel: str, seconds: str) -> None:
    client = InferenceClient(
        url,
        channel=Channel(channel),
        on_notice=lambda words: print(json.dumps({"notice": words}), flush=True),
    )
    async with client:
        async for result in client.stream(clip, float(seconds)):
            captured_ms = result.frame.capture_time_ms
            age_s = None if captured_ms is None else time.time() - captured_ms / 1000
            arrival = {"at": time.monotonic(), "age_s": age_s, "seq": result.seq}
            print(json.dumps({"result": arrival, "reconnects": client.stats.reconnects}), flush=True)


@contextlib.asynccontextmanager
async def python_client(
    link: Stage, url: str, clip: Path, seconds: float, channel: Channel = Channel.DATACHANNEL
) -> AsyncIterator[PythonClient]:
    """Plays ``clip``; the test waits for what it wants to see, and leaves."""
    process = await asyncio.create_subprocess_exec(
        *link.command(
            sys.executable, "-m", "tests.network.python_client", url, str(clip), channel, str(seconds)
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    client = PythonClient()
    reading = asyncio.create_task(_read(process, client))
    try:
        yield client
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await reading


async def _read(process: asyncio.subprocess.Process, client: PythonClient) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        content = json.loads(line)
        if "notice" in content:
            client.notices.append(content["notice"])
        else:
            client.results.append(Arrival(**content["result"]))
            client.reconnects = content["reconnects"]


if __name__ == "__main__":
    asyncio.run(_play(*sys.argv[1:]))
