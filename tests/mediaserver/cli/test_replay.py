"""``mediaserver replay`` against a server in the test's own event loop."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from mediaserver.cli.main import main
from mediaserver.cli.replay import ReplayRequest, _annotate, replay
from mediaserver.cli.replay_progress import progress_bar
from mediaserver.client.client import Channel, ClientError, Unreachable
from mediaserver.client.comparison import compare, read_results
from mediaserver.client.errors import ClipError
from mediaserver.errors import OutputError, UsageError, UserError
from mediaserver.paths import sample_clip
from signaling.codec import decode_server
from signaling.messages import Result
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


async def test_who_plays_into_models_that_know_drawings_only_is_told_so_once(
    tmp_path: Path, tiny_models: Path, clip: Path
) -> None:
    said = {}
    for name, models, stages in (
        ("built-in", tmp_path, None),
        ("others", tiny_models, ("detect", "pose")),
        ("reading", tmp_path, ("ocr",)),
    ):
        out = io.StringIO()
        async with live_server(models) as live:
            request = ReplayRequest(clip, live.socket_url, stages, duration_s=0.2, others=(clip,))
            await replay(request, Console(file=out, width=300))
        said[name] = out.getvalue()
    assert said["built-in"].count("models for detect and pose were trained on drawn scenes") == 1
    assert "mediaserver models pull nanodet_g movenet_multipose" in said["built-in"]
    assert "drawn" not in said["others"] + said["reading"]


async def test_every_frame_gives_the_same_lines_from_run_to_run(
    tiny_models: Path, clip: Path, tmp_path: Path
) -> None:
    outs = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    async with live_server(tiny_models) as live:
        for out in outs:
            request = ReplayRequest(clip, live.socket_url, ("detect", "pose"), out=out, every_frame=True)
            summary = await replay(request, Console(file=io.StringIO()))
            assert (summary.frames_sent, summary.results) == (90, 90)
    first, second = ([_without_timing(line) for line in out.read_text().splitlines()] for out in outs)
    assert first == second
    assert [line["time_s"] for line in first] == pytest.approx([n / 30 for n in range(90)], abs=0.001)
    assert {line["clip"] for line in first} == {clip.name}
    assert compare(read_results(outs[0]), read_results(outs[1]), min_iou=0.999).share == 1


def _without_timing(line: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(line)
    del content["timing_ms"]
    return content


async def test_several_clips_and_pictures_are_played_one_after_another(
    tiny_models: Path, clip: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(pictures / f"{number}.png"), np.full((48, 64, 3), 90, np.uint8))
    out, annotated = tmp_path / "results.jsonl", tmp_path / "annotated"
    async with live_server(tiny_models) as live:
        request = ReplayRequest(
            clip,
            live.socket_url,
            others=(pictures,),
            out=out,
            annotate=annotated,
            every_frame=True,
            duration_s=0.2,
        )
        await replay(request, Console(file=io.StringIO()))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["clip"] for line in lines] == [clip.name] * 6 + ["1.png", "2.png", "10.png"]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6, 1, 2, 3], "a session of its own for each"
    assert sorted(file.name for file in annotated.iterdir()) == ["pictures.mp4", f"{clip.stem}.mp4"]


async def test_texts_have_lines_of_their_own_with_their_frame(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    async with live_server(tmp_path) as live:  # with the built-in models, which read
        request = ReplayRequest(sample_clip(), live.socket_url, ("ocr",), out=out, duration_s=3)
        await replay(request, Console(file=io.StringIO()))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    readings = {line["frame"]["pts_ms"]: line for line in lines if line["type"] == "event"}
    assert any("OPEN" in [text["text"] for text in line["texts"]] for line in readings.values())
    for line in lines:
        if line["type"] == "result" and line["texts"] is not None:
            reading = readings[line["texts_frame"]["pts_ms"]]
            assert reading["texts"] == line["texts"]
            assert reading["time_s"] < line["time_s"], "reading takes longer than the rest"


@pytest.mark.parametrize(
    ("annotate", "words"),
    [("out.xyz", "output format"), ("none/out.mp4", "not there"), ("clip.mp4", "the clip itself")],
)
async def test_what_cannot_be_written_is_told_before_anything_plays(
    tmp_path: Path, clip: Path, annotate: str, words: str
) -> None:
    own = tmp_path / "clip.mp4"
    own.write_bytes(clip.read_bytes())
    nobody = "ws://127.0.0.1:9/ws/inference"
    with pytest.raises(UserError, match=words):
        await replay(ReplayRequest(own, nobody, annotate=tmp_path / annotate), Console(file=io.StringIO()))
    assert own.read_bytes() == clip.read_bytes()


async def test_clips_of_one_name_have_no_file_of_results_in_common(tmp_path: Path, clip: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.mp4").write_bytes(clip.read_bytes())
        cv2.imwrite(str(tmp_path / folder / "1.png"), np.zeros((8, 8, 3), np.uint8))
    for name in ("", "clip.mp4"):
        first, second = tmp_path / "a" / name, tmp_path / "b" / name
        request = ReplayRequest(first, "ws://127.0.0.1:9/", others=(second,), out=tmp_path / "out.jsonl")
        with pytest.raises(UsageError, match="have the same name"):
            await replay(request, Console(file=io.StringIO()))


async def test_a_clip_that_ends_before_the_first_sender_report_is_written_too(
    tiny_models: Path, clip: Path, tmp_path: Path
) -> None:
    out, video = tmp_path / "results.jsonl", tmp_path / "annotated.mp4"
    async with live_server(tiny_models) as live:
        request = ReplayRequest(clip, live.socket_url, out=out, annotate=video, duration_s=0.6)
        await replay(request, Console(file=io.StringIO()))
    times = [json.loads(line)["time_s"] for line in out.read_text().splitlines()]
    assert times == sorted(times)
    assert 0.3 < times[-1] < 0.7
    assert video.stat().st_size > 1_000


async def test_a_clip_without_results_is_not_said_to_be_written(clip: Path, tmp_path: Path) -> None:
    said = io.StringIO()
    await _annotate(clip, tmp_path / "out.mp4", [], Console(file=said, width=200))
    assert "out.mp4 is not written: no result came" in said.getvalue()
    assert "100%" not in said.getvalue()


async def test_results_of_an_earlier_run_stay_where_nothing_came(tmp_path: Path, clip: Path) -> None:
    out = tmp_path / "results.jsonl"
    out.write_text("of an earlier run")
    with pytest.raises(ClientError, match="no server answers"):
        await replay(ReplayRequest(clip, "ws://127.0.0.1:9/", out=out), Console(file=io.StringIO()))
    assert out.read_text() == "of an earlier run"


async def test_a_clip_that_cannot_be_played_is_told_before_another_plays(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    for name, words in (("none.mp4", "no such file"), ("empty.mp4", "the file is empty")):
        request = ReplayRequest(clip, "ws://127.0.0.1:9/", others=(tmp_path / name,))
        with pytest.raises(ClipError, match=f"{name}: {words}"):
            await replay(request, Console(file=io.StringIO()))


def test_an_empty_name_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", ""])
    assert "the name of the clip is empty" in capsys.readouterr().err


async def test_a_name_that_is_no_utf_8_is_written_as_text(
    tiny_models: Path, clip: Path, tmp_path: Path
) -> None:
    named = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    named.write_bytes(clip.read_bytes())
    out = tmp_path / "results.jsonl"
    async with live_server(tiny_models) as live:
        request = ReplayRequest(named, live.socket_url, out=out, every_frame=True, duration_s=0.1)
        await replay(request, Console(file=io.StringIO()))
    assert {json.loads(line)["clip"] for line in out.read_text().splitlines()} == {r"caf\xe9.mp4"}


@pytest.mark.parametrize(("total", "has_left"), [(1.0, True), (None, False)])
def test_the_line_of_progress_fits_80_columns(total: float | None, has_left: bool) -> None:
    said = io.StringIO()
    numbers = "1234 results, 30.0/s, 123 ms old, 99 dropped"
    now = iter(range(100))
    with progress_bar(Console(file=said, width=80)) as progress:
        progress.get_time = lambda: float(next(now))
        bar = progress.add_task("a-clip-of-a-long-name.mp4", total=total, numbers=numbers)
        for done in (0.1, 0.2, 0.3):
            progress.update(bar, completed=done)
    [line] = said.getvalue().splitlines()
    assert line.rstrip().endswith(numbers)
    assert (" left " in line) is has_left


async def test_it_waits_for_a_place_and_says_so(tiny_models: Path, clip: Path) -> None:
    said = io.StringIO()
    async with live_server(tiny_models) as live:
        request = ReplayRequest(clip, live.socket_url, channel=Channel.JPEG, duration_s=0.5)
        assert live.server.pause(1, if_idle=True)
        with pytest.raises(Unreachable):
            await replay(request, Console(file=io.StringIO()))
        summary = await replay(replace(request, wait_s=30.0), Console(file=said, width=200))
    assert summary.results
    assert "waiting for 30 s at most" in said.getvalue()
