"""Programs of the machine that are not on this one: each writes down how it was called, and says what a test
wants."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


class Programs:
    """A folder that is looked into first. ``calls`` are lines of a program's name and its arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        folder.mkdir(parents=True)

    def add(self, name: str, script: str = "") -> None:
        """``script``: shell, with the arguments as they were given."""
        program = self.folder / name
        program.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self._calls}"\n{script}\n')
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def called(self, start: str) -> list[str]:
        return [call for call in self.calls if call.startswith(start)]

    def forget(self) -> None:
        self._calls.unlink(missing_ok=True)

    def run(
        self, script: Path, *arguments: object, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(script), *map(str, arguments)],
            env={"PATH": f"{self.folder}:{os.environ['PATH']}", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
