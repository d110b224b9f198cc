"""``mediaserver replay`` against a server in the test's own event loop."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mediaserver.cli.replay import ReplayRequest, replay
from mediaserver.client.client import Channel, ClientError
from mediaserver.errors import OutputError
from signaling.messages import Result, decode_server
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


async def test_outlines_alone_are_played_counted_written_and_drawn(
    tiny_models: Path, clip: Path, tmp_path: Path
) -> None:
    out, video = tmp_path / "results.jsonl", tmp_path / "annotated.mp4"
    async with live_server(tiny_models) as live:
        request = ReplayRequest(clip, live.socket_url, ("segment",), out=out, annotate=video)
        summary = await replay(request, Console(file=io.StringIO()))
    results = [decode_server(line) for line in out.read_text().splitlines()]
    assert len(results) == summary.results > 10
    assert summary.labels.keys() == {"red", "person"}
    for result in results:
        assert isinstance(result, Result)
        assert (result.detections, result.poses) == (None, None)
        assert all(len(segment.polygon) >= 4 for segment in result.segments or ())
    assert video.stat().st_size > 10_000


async def test_a_stage_that_the_server_does_not_have_is_named(tmp_path: Path, clip: Path) -> None:
    async with live_server(tmp_path) as live:  # with the built-in models
        request = ReplayRequest(clip, live.socket_url, ("detect", "segment"))
        with pytest.raises(ClientError, match=r"cannot run segment; it has detect, "):
            await replay(request, Console(file=io.StringIO()))
