"""``mediaserver dev-cloud`` until it becomes the program that `tests/lambdas/test_dev.py` tries."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from mediaserver.cli.main import main


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("lambdas", "dev-cloud runs in a checkout of mediaserver only: `make install` there"),
        ("moto", "dev-cloud needs moto, which stands in for AWS: `make install` in the checkout"),
    ],
)
def test_where_it_cannot_run_it_says_what_to_do(
    missing: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from a wheel, and after `make demo`, which installs what a server needs."""
    find_spec = importlib.util.find_spec

    def find_other(name: str) -> ModuleSpec | None:
        return None if name == missing else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_other)
    with pytest.raises(SystemExit) as helped:
        main(["dev-cloud", "--help"])
    assert helped.value.code == 0
    assert "--server URL" in capsys.readouterr().out
    assert main(["dev-cloud"]) == 2
    assert capsys.readouterr().err == f"mediaserver: {words}\n"


@pytest.mark.parametrize("port", ["x", "65536", "-1"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["dev-cloud", f"--port={port}"])
    assert refused.value.code == 2
    assert f"{port!r}: a port is a number from 0 to 65535" in capsys.readouterr().err
