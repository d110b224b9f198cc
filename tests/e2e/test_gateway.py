"""Clips through a real nginx, as users send them: over TLS, each from the command line's own process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.bench.gateway import send
from tests.support.clips import write_clip
from tests.support.gateway import Gateway, gateway
from tests.support.live_server import live_server


async def replay(front: Gateway, clip: Path, trusted: Path | None) -> tuple[int, str, str]:
    """Status and output of ``mediaserver replay``, which trusts only the certificate given."""
    environment = {key: value for key, value in os.environ.items() if key != "SSL_CERT_FILE"}
    if trusted is not None:
        environment["SSL_CERT_FILE"] = str(trusted)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediaserver", "replay", str(clip), "--url", front.socket_url, "--json"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_a_clip_goes_through_tls(tiny_models: Path, clip: Path, tmp_path: Path) -> None:
    async with live_server(tiny_models) as live, gateway(tmp_path, [live.port]) as front:
        status, output, errors = await replay(front, clip, trusted=front.certificate)
    assert status == 0, errors
    summary: dict[str, Any] = json.loads(output)
    assert summary["channel"] == "datachannel"
    assert summary["results"] > 10
    assert summary["labels"].keys() >= {"red"}


async def test_a_certificate_that_nobody_trusts_is_a_clear_error(
    tiny_models: Path, clip: Path, tmp_path: Path
) -> None:
    async with live_server(tiny_models, wait_ready=False) as live, gateway(tmp_path, [live.port]) as front:
        status, _, errors = await replay(front, clip, trusted=None)
        assert live.metric("sessions_started_total") == 0
    assert status != 0
    assert "certificate verify failed" in errors
    assert "Traceback" not in errors


async def test_twenty_replays_at_once_all_get_results(tiny_models: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "squares.mp4", seconds=4, fps=5, size=(320, 240))
    async with (
        live_server(tiny_models) as live,
        gateway(tmp_path, [live.port], sessions_an_address=20) as front,
    ):
        replays = await send(front, clip, 20)
    assert len(replays) == 20
    assert all(replay.results > 0 for replay in replays), replays
