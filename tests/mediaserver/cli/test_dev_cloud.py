"""``mediaserver dev-cloud`` as far as it is ours; `tests/lambdas/test_dev.py` tries what it hands over to."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mediaserver.cli.main import main


def test_hands_over_what_it_is_given() -> None:
    pytest.importorskip("moto", reason="AWS is moto's: pip install -e .[test]")
    command = [sys.executable, "-m", "mediaserver", "dev-cloud", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.startswith("usage: mediaserver dev-cloud")
    assert "--server URL" in told


def test_outside_a_checkout_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert main(["dev-cloud"]) == 2
    assert capsys.readouterr().err == (
        "mediaserver: dev-cloud needs lambdas: in a checkout, pip install --editable '.[test]'\n"
    )
