from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import inference
from mediaserver.packages import conflict, pip_install, required_by


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of packages with another ``inference``, as pip installs one."""
    package, metadata = tmp_path / "inference", tmp_path / "vision_toolkit-1.0.dist-info"
    package.mkdir()
    (package / "__init__.py").write_text('"""Somebody else\'s."""\n')
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: vision-toolkit\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("inference/__init__.py,,\nvision_toolkit-1.0.dist-info/METADATA,,\n")
    return tmp_path


def mediaserver(*arguments: str, packages: Path) -> subprocess.CompletedProcess[str]:
    """The command where ``packages`` comes before everything else."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "mediaserver", *arguments],
        env=os.environ | {"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_extra_is_named_by_its_packages() -> None:
    (onnx,) = required_by("export")
    assert onnx.startswith("onnx<2,")
    assert [item.partition("<")[0] for item in required_by("ultralytics")] == ["onnx", "ultralytics"]
    assert required_by("nothing") == []


def test_the_command_is_one_that_a_shell_takes() -> None:
    assert shlex.split(pip_install(["onnx<2,>=1.18"])) == [
        *(sys.executable, "-m", "pip", "install", "onnx<2,>=1.18")
    ]


def test_here_nobody_else_has_the_name() -> None:
    assert conflict() is None


def test_who_else_has_installed_the_name_is_told(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(foreign)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: inference.__spec__)  # ours is found first
    assert conflict() == (
        "mediaserver and vision-toolkit each install a package 'inference', one over the other"
    )


@pytest.mark.parametrize("verb", ["doctor", "serve", "demo", "replay"])
def test_where_another_one_is_found_first_each_command_says_so(verb: str, foreign: Path) -> None:
    completed = mediaserver(verb, packages=foreign)
    assert completed.returncode == 2
    assert completed.stderr == (
        f"mediaserver: Python finds {foreign}/inference/__init__.py where mediaserver has its package "
        "'inference': install mediaserver into a virtual environment of its own\n"
    )
