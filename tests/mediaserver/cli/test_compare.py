"""``mediaserver compare``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mediaserver.cli.main import main
from signaling.findings import FrameInfo, WireDetection
from signaling.messages import Result


def write_run(path: Path, lefts: list[float]) -> Path:
    """A frame each, with one cup whose left side is there."""
    lines = []
    for number, left in enumerate(lefts):
        frame = FrameInfo(None, number * 100.0, None, 640, 480)
        cup = WireDetection(1, "cup", 0.9, (left, 0.1, 0.2, 0.2), None)
        result = Result(number + 1, frame, [cup], None, None, None, {"total": 9.0 * left}, {})
        place = {"clip": "clip.mp4", "time_s": number / 10}
        lines.append(msgspec.json.encode({**msgspec.to_builtins(result), **place}))
    path.write_bytes(b"\n".join(lines))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, str]:
    found = {"still": [0.1, 0.1], "nearly": [0.1, 0.12], "moved": [0.1, 0.7]}
    return {name: str(write_run(tmp_path / f"{name}.jsonl", lefts)) for name, lefts in found.items()}


@pytest.mark.parametrize(
    ("second", "options", "verdict"),
    [
        ("still", (), "the runs agree"),
        ("nearly", (), "the runs agree"),
        ("nearly", ("--iou", "0.9"), "the runs differ"),
        ("moved", (), "the runs differ"),
        ("moved", ("--agreement", "0.5"), "the runs agree"),
    ],
)
def test_the_exit_status_is_the_verdict(
    runs: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    second: str,
    options: tuple[str, ...],
    verdict: str,
) -> None:
    status = main(["compare", runs["still"], runs[second], *options])
    assert verdict in capsys.readouterr().out
    assert status == (0 if verdict == "the runs agree" else 1)


def test_figures_come_as_json(runs: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", runs["still"], runs["moved"], "--json"]) == 1
    figures = json.loads(capsys.readouterr().out)
    assert figures["agree"] is False
    assert figures["frames"]["same"] == 2
    assert figures["detect"] == {
        **{"first": 2, "second": 2, "same": 1, "agreement": 0.5},
        **{"mean_iou": 1.0, "least_iou": 1.0, "mean_score_change": 0.0},
    }


def test_a_file_that_is_no_run_is_one_clear_line(
    runs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", runs["still"], str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl: No such file" in capsys.readouterr().err
