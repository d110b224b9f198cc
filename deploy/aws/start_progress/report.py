"""The two parameters that the machine writes, by AWS's command line, which the image has."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from start_progress.facts import Facts

REMEMBERED = 5
"""The estimate uses this number of starts of each kind."""
_TIMEOUT_S = 30.0


class Report:
    """The report of ``instance``, in the parameters of ``stack``. A failed write is repeated with the next
    facts."""

    def __init__(self, stack: str, instance: str) -> None:
        self._instance = instance
        self._boot = f"/mediaserver/{stack}/boot"
        self._starts = f"/mediaserver/{stack}/starts"
        self._last: Facts | None = None

    def tell(self, facts: Facts, *, first: bool) -> bool:
        """Writes the facts, unless they are written already. Returns whether they are written."""
        if facts == self._last:
            return True
        now = datetime.now(UTC).isoformat(timespec="seconds")
        said: dict[str, Any] = {"instance": self._instance, "at": now, "first": first, **asdict(facts)}
        if facts.phase == "ready":
            said["ready_at"] = now
        if not self._put(self._boot, said):
            return False
        self._last = facts
        return True

    def remember(self, seconds: int, *, first: bool) -> None:
        """Adds the time of this start."""
        times = self._get(self._starts)
        kind = "first" if first else "again"
        known = times.get(kind)
        times[kind] = [*(known if isinstance(known, list) else []), seconds][-REMEMBERED:]
        self._put(self._starts, times)

    def _put(self, name: str, value: dict[str, Any]) -> bool:
        return (
            _aws(
                "put-parameter",
                "--name",
                name,
                "--type",
                "String",
                "--overwrite",
                "--value",
                json.dumps(value),
            )
            is not None
        )

    def _get(self, name: str) -> dict[str, Any]:
        text = _aws("get-parameter", "--name", name, "--query", "Parameter.Value", "--output", "text")
        try:
            value = json.loads(text or "")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def _aws(*arguments: str) -> str | None:
    """Returns the output; ``None`` after a failure."""
    try:
        done = subprocess.run(
            ["aws", "ssm", *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"start_progress: {error}\n")
        return None
    if done.returncode != 0:
        sys.stderr.write(f"start_progress: {done.stderr.strip()}\n")
        return None
    return done.stdout
