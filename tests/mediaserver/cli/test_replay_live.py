"""``mediaserver replay`` of cameras that are no browsers."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from rich.console import Console

from mediaserver.cli.main import main
from mediaserver.cli.replay import ReplayRequest, replay
from mediaserver.client.live_address import LiveAddress, live_address
from mediaserver.errors import UsageError
from tests.support.live_server import LiveServer, live_server
from tests.support.mjpeg_camera import mjpeg_camera
from tests.support.rtsp_camera import rtsp_camera
from tests.support.waiting import eventually


def address(url: str) -> LiveAddress:
    live = live_address(url)
    assert live is not None
    return live


async def command(live: LiveServer, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mediaserver", "replay", *arguments, "--url", live.socket_url, "--json"),
        stdout=PIPE,
        stderr=PIPE,
    )


async def test_an_rtsp_camera_is_bridged_and_its_password_shown_nowhere(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, rtsp_camera("ada", "hunter2") as camera:
        process = await command(live, camera.url, "--duration", "3", "--models", "detect")
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        summary = json.loads(out)
        assert summary["results"] > 20
        assert set(summary["labels"]) == {"red"}
        assert b"hunter2" not in out + err


async def test_ctrl_c_ends_it_with_the_summary(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, mjpeg_camera() as camera:
        process = await command(live, camera.url, "--models", "detect")
        await eventually(lambda: live.metric("frames_inferred_total") > 10, 30)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, err.decode()
        assert json.loads(out)["results"] > 5
        await eventually(lambda: live.ended("bye") == 1)


async def test_results_go_on_when_the_camera_is_back(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.client.live_feed._BACKOFF_FIRST_S", 0.2)
    said = io.StringIO()
    async with live_server(tiny_models) as live, rtsp_camera() as camera:
        request = ReplayRequest(address(camera.url), live.socket_url, ("detect",))
        playing = asyncio.create_task(replay(request, Console(file=said, width=200)))
        await eventually(lambda: live.metric("frames_inferred_total") > 10, 30)
        await camera.stop()
        await eventually(lambda: "connecting again" in said.getvalue(), 30)
        before = live.metric("frames_inferred_total")
        await camera.start()
        await eventually(lambda: "connected again" in said.getvalue(), 30)
        await eventually(lambda: live.metric("frames_inferred_total") > before + 30, 30)
        playing.cancel()  # as Ctrl-C does
        summary = await playing
    assert summary.results > 30
    assert live.metric("sessions_started_total") == 1, "one session all the time"


async def test_there_is_nothing_to_annotate(tmp_path: Path) -> None:
    request = ReplayRequest(
        address("rtsp://cam.example/"), "ws://127.0.0.1:9/", annotate=tmp_path / "out.mp4"
    )
    with pytest.raises(UsageError, match="live source"):
        await replay(request, Console(file=io.StringIO()))


def test_a_url_that_is_none_is_named_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", "rtsp://ada:hunter2@:554/"])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "no host" in err
    assert "hunter2" not in err
