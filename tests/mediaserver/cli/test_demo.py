"""``mediaserver demo`` on a new installation, as its user meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mediaserver.child_process import free_ports
from mediaserver.cli.main import main
from tests.support.pulled import source_files


def demo(tmp_path: Path, *arguments: str, **settings: str) -> str:
    """What it says; its user has pulled nothing yet."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIASERVER_")}
    [port] = free_ports(1)
    environment |= {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLUMNS": "200",
        "MEDIASERVER_PORT": str(port),
    }
    environment |= settings
    done = subprocess.run(
        (sys.executable, "-m", "mediaserver", "demo", "--once", *arguments),
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_demo_fetches_models_for_the_real_world_and_the_next_one_uses_them(
    tmp_path: Path, clip: Path
) -> None:
    mirror = str(source_files("nanodet_g")[0].parent)
    said = demo(tmp_path, str(clip), MEDIASERVER_MODEL_MIRROR=mirror)
    assert "nanodet_g: Apache-2.0" in said
    assert "nanodet_g (80 kinds), movenet_multipose (1 kind)" in said
    assert "Built-in models" not in said

    said = demo(tmp_path, str(clip), MEDIASERVER_MODEL_MIRROR="/nowhere")
    assert "converted" not in said
    assert "nanodet_g (80 kinds), movenet_multipose (1 kind)" in said


def test_the_demo_does_without_where_that_is_asked_for(tmp_path: Path, clip: Path) -> None:
    said = demo(tmp_path, str(clip), "--models", "builtin", MEDIASERVER_MODEL_MIRROR="/nowhere")
    assert "No models for the real world" not in said
    assert "detect (7 kinds, drawn scenes only), pose (1 kind, drawn scenes only)" in said
    assert "Built-in models found this" in said
    assert "mediaserver models pull nanodet_g movenet_multipose" in said


def test_where_they_cannot_be_had_one_line_says_so(tmp_path: Path, clip: Path) -> None:
    said = demo(tmp_path, str(clip), MEDIASERVER_MODEL_MIRROR=str(tmp_path))
    assert said.count("No models for the real world") == 1
    assert "nanodet.json: no such file" in said
    assert "Built-in models found this" in said


def test_its_help_says_what_is_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    assert "which are fetched (17 MB)" in " ".join(capsys.readouterr().out.split())


def test_what_it_cannot_play_is_told_before_anything_is_fetched_or_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty := tmp_path / "empty.mp4").touch()
    assert main(["demo", str(empty)]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"mediaserver: {empty}: the file is empty\n")
    for source, words in (("rtsp://ada:hunter2@camera.example/", "mediaserver replay"), ("", "is empty")):
        with pytest.raises(SystemExit):
            main(["demo", source])
        told = capsys.readouterr()
        assert words in told.err
        assert "hunter2" not in told.err
