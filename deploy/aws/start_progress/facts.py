"""Reads how far the start is, on the machine itself."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATE = Path("/run/mediaserver-boot")
REPOSITORY = Path("/var/lib/mediaserver/triton")
READYZ = "http://127.0.0.1:8080/readyz"
_TIMEOUT_S = 2.0
# As Triton's model_lifecycle.cc writes them, since 24.x in quotes: "loading: detect:1", "successfully
# loaded 'detect'".
_LOADED = re.compile(r"successfully loaded '([^']+)'")


@dataclass(frozen=True)
class Facts:
    """``phase`` is a value of `lambdas.boot_report.Phase`; ``done`` and ``total`` count bytes or models."""

    phase: str
    step: str = ""
    done: int = 0
    total: int = 0


def look(state: Path = STATE, repository: Path = REPOSITORY, readyz: str = READYZ) -> Facts:
    """Returns the phase of the start. Of two that run side by side it returns the longer."""
    if (state / "failed").exists():
        return Facts("failed", step=_text(state / "failed"))
    if (state / "pull.json").exists():
        pulled = _object(state / "pull.json")
        return Facts("pulling", done=pulled.get("done", 0), total=pulled.get("total", 0))
    if (state / "step").exists():
        return Facts("installing", step=_text(state / "step"))
    ready = _readyz(readyz)
    if ready == "ready":
        return Facts("ready")
    models = sum(1 for path in repository.glob("*/config.pbtxt"))
    if ready is None and not models:
        return Facts("starting")
    loaded = {name for name in _LOADED.findall(_triton_log())}
    return Facts("loading", done=min(len(loaded), models), total=models)


def uptime_s() -> float:
    """Returns how long the machine has been on, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _readyz(url: str) -> str | None:
    """Returns the server's state; ``None`` without an answer."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S):
            return "ready"
    except urllib.error.HTTPError as error:
        with error:
            return "loading"
    except (OSError, http.client.HTTPException):
        return None


def _triton_log() -> str:
    command = ["journalctl", "--unit=triton.service", "--boot", "--output=cat", "--no-pager", "--lines=20000"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
