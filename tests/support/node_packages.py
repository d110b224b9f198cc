"""Packages of npm for tests, in the versions of a lock file, kept for all runs."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from mediaserver.paths import cache_folder

_TIMEOUT_S = 300.0


def installed(project: Path) -> Path:
    """A folder with the ``node_modules`` of ``project``, which has a ``package.json`` and a lock file with
    hashes; skips the test where there is no npm, or nothing to be fetched from."""
    if shutil.which("npm") is None:
        pytest.skip("no npm in PATH (Debian: apt-get install npm)")
    files = [project / name for name in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = cache_folder() / "npm" / f"{project.name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / "complete").exists():
            for file in files:
                shutil.copy(file, folder)
            _fetch(folder)
            (folder / "complete").touch()
    return folder


def _fetch(folder: Path) -> None:
    """No script of a package runs."""
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        ran = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm fetched nothing within {_TIMEOUT_S:g} s")
    if ran.returncode != 0:
        said = ran.stderr.strip().splitlines() or ["it said nothing"]
        pytest.skip(f"npm cannot fetch {folder.name}: {said[0]}")
