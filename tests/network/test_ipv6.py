"""A machine that has IPv6 only."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from mediaserver.client.client import InferenceClient
from tests.support.clips import write_clip
from tests.support.live_server import live_server
from tests.support.tiny_models import write_tiny_models

SETUP = "ip link set lo up && ip address del 127.0.0.1/8 dev lo"


async def play(folder: Path) -> None:
    """Prints how many results came, of frames that went over WebRTC."""
    clip = write_clip(folder / "clip.mp4", seconds=2, size=(320, 240))
    async with live_server(write_tiny_models(folder), host="::1") as live:
        async with InferenceClient(live.socket_url) as client:
            frames = [result.frame async for result in client.stream(clip)]
    print(sum(frame.rtp_timestamp is not None for frame in frames))


def test_media_works_where_there_is_no_ipv4(tmp_path: Path) -> None:
    program = f"{SETUP} && exec {sys.executable} -m tests.network.test_ipv6 {tmp_path}"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    if "unshare failed" in done.stderr or "RTNETLINK" in done.stderr:
        pytest.skip(f"no network namespace can be made: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


if __name__ == "__main__":
    asyncio.run(play(Path(sys.argv[1])))
