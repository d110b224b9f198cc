"""The script that `make` and the installer make virtual environments with, where Python is not complete."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "dev" / "create-venv.sh"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH with what the script needs: no Python, no package manager."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "basename", "dirname", "env", "grep", "id"):
        path = shutil.which(name)
        assert path is not None
        (folder / name).symlink_to(path)
    return folder


def write_python(programs: Path, *, without: str) -> None:
    """A ``python3`` that fails on programs with that word."""
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\ncase "$*" in *{without}*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)


def create(programs: Path, venv: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, venv], env={"PATH": str(programs)}, capture_output=True, text=True, check=False
    )


def test_without_python_it_says_what_to_install(programs: Path, tmp_path: Path) -> None:
    completed = create(programs, tmp_path / "venv")
    assert completed.returncode == 1
    assert completed.stderr == (
        "create-venv: there is no python3. Debian and Ubuntu: apt-get install python3 python3-venv\n"
    )


def test_an_old_python_is_named(programs: Path, tmp_path: Path) -> None:
    write_python(programs, without="version_info")
    completed = create(programs, tmp_path / "venv")
    assert completed.returncode == 1
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"Python {version} is too old: Python 3.11 or newer is needed" in completed.stderr


def test_without_ensurepip_it_names_the_package_and_leaves_nothing(programs: Path, tmp_path: Path) -> None:
    write_python(programs, without="ensurepip")
    completed = create(programs, tmp_path / "venv")
    assert completed.returncode == 1
    assert completed.stderr.splitlines()[-1] == (
        "create-venv: python3 lacks ensurepip, which makes virtual environments. "
        "Debian and Ubuntu: apt-get install python3-venv"
    )
    assert not (tmp_path / "venv").exists()
