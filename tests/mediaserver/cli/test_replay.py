"""``mediaserver replay`` against a server in the test's own event loop."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mediaserver.cli.replay import ReplayRequest, replay
from mediaserver.client.client import Channel
from mediaserver.errors import OutputError
from tests.support.live_server import live_server


async def test_a_file_that_takes_nothing_is_named_with_the_reason(
    tmp_path: Path, tiny_models: Path, clip: Path
) -> None:
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    # As JPEG even the first result has its moment in the clip: half a second is enough to annotate it.
    async with live_server(tiny_models) as live:
        good = ReplayRequest(clip, live.socket_url, channel=Channel.JPEG, duration_s=0.5)
        for words, request in (
            ("/dev/full: No space left on device", replace(good, out=Path("/dev/full"))),
            ("full.mp4: No space left on device", replace(good, annotate=tmp_path / "full.mp4")),
            ("clip.xyz: Could not determine output format", replace(good, annotate=tmp_path / "clip.xyz")),
            ("clip.wav: 'wav' format does not support", replace(good, annotate=tmp_path / "clip.wav")),
        ):
            with pytest.raises(OutputError, match=f"cannot write .*{words}"):
                await replay(request, Console(file=io.StringIO()))
