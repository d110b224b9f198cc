"""Others' programs run in virtual environments of their own, so that what they need meets nothing of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_REQUIREMENTS = Path(__file__).parent / "requirements"
_ENVIRONMENTS = Path("artifacts") / "peers"


def interpreter(environment: str) -> Path:
    """Of the virtual environment of that name, which is made where it is not there."""
    folder = _ENVIRONMENTS / environment
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making {folder}", file=sys.stderr, flush=True)
        subprocess.run((sys.executable, "-m", "venv", folder), check=True)
        install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run((*install, "-r", _REQUIREMENTS / f"{environment}.txt"), check=True)
        (folder / "complete").touch()
    return python.absolute()
