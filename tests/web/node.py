"""Node.js, which runs those modules of ``web/`` that need no browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "web"
_OLDEST = 18
"""The first with a test runner that knows reporters."""


def run_node(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs node in ``web/``; skips the test where there is none, or one that is too old."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node in PATH (Debian: apt-get install nodejs)")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < _OLDEST:
        pytest.skip(f"node is {version}; the tests need {_OLDEST} or newer")
    return subprocess.run([node, *arguments], cwd=WEB, input=stdin, capture_output=True, check=False)
