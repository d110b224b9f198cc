"""What is installed from a wheel needs nothing else: no models, no clip, no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""A network namespace of its own: there is this machine and nothing else."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what a wheel of this project installs."""
    folder = tmp_path_factory.mktemp("wheel")
    command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_demo_does_its_whole_job(installed: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip"):
        offline: tuple[str, ...] = OFFLINE
    else:
        offline = ()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIASERVER_")}
    done = subprocess.run(
        (*offline, sys.executable, "-m", "mediaserver", "demo", "--once"),
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(installed), "HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "street.mp4" in done.stdout
    assert "EXIT 7" in done.stdout
    assert "Built-in models found this" in done.stdout
