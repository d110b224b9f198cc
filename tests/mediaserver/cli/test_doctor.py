"""``mediaserver doctor`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mediaserver.cli.main import main


@pytest.fixture
def healthy(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIASERVER_MODELS", str(tiny_models))
    monkeypatch.setenv("MEDIASERVER_PORT", "0")
    monkeypatch.setenv("MEDIASERVER_ICE_INTERFACES", "127.0.0.1")


@pytest.mark.usefixtures("healthy")
def test_a_line_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "✓ udp            127.0.0.1 sends and receives" in lines
    assert all(line[0] in "✓!" for line in lines)


@pytest.mark.usefixtures("healthy")
def test_what_will_not_work_ends_with_1_and_a_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIASERVER_MODELS", "nowhere")
    assert main(["doctor"]) == 1
    (failed,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("✗")]
    assert "the folder nowhere does not exist" in failed
    assert " → " in failed

    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert {"check", "state", "words", "fix"} == set(report["checks"][0])


def test_settings_that_cannot_be_used_are_told_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIASERVER_PORT", "many")
    assert main(["doctor"]) == 2
    assert "setting 'port' in the environment" in capsys.readouterr().err
