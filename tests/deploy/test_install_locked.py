"""The script that `make` and the installer share. No index is asked."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

DEV = Path(__file__).parents[2] / "deploy" / "dev"


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    subprocess.run((DEV / "create-venv.sh", tmp_path / "venv"), check=True)
    return tmp_path / "venv"


def write_wheel(folder: Path, name: str) -> Path:
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def install(venv: Path, lock: Path, *project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (DEV / "install-locked.sh", venv, lock, *project),
        env=os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(lock.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_files_with_the_right_hashes_are_installed(venv: Path, tmp_path: Path) -> None:
    needed, project = write_wheel(tmp_path, "needed"), write_wheel(tmp_path, "project")
    lock = tmp_path / "lock.txt"

    lock.write_text(f"needed==1.0 --hash=sha256:{'0' * 64}\n")
    refused = install(venv, lock, project)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert not list(venv.glob("lib/*/site-packages/needed.py"))

    lock.write_text(f"needed==1.0 --hash=sha256:{hashlib.sha256(needed.read_bytes()).hexdigest()}\n")
    installed = install(venv, lock, project)
    assert (installed.returncode, installed.stderr) == (0, "")
    assert installed.stdout == "  packages fetched and checked: 1; installing them\n"
    assert len(list(venv.glob("lib/*/site-packages/needed.py"))) == 1
    assert len(list(venv.glob("lib/*/site-packages/project.py"))) == 1
