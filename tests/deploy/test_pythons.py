"""The script behind `make test-pythons`, as far as it runs no suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "dev" / "test-pythons.sh"


def test_a_python_that_is_not_here_is_skipped_with_its_reason() -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    completed = subprocess.run(
        [SCRIPT, sys.prefix, own, "3.99"], capture_output=True, text=True, check=True, timeout=60
    )
    assert completed.stdout.splitlines() == [
        f"Python {own}: the suite's own, make test",
        "Python 3.99: skipped, as there is none here: not on the path, nor among those of pyenv or uv",
    ]
