"""The machine's report of its own start, in two parameters of Systems Manager.

The machine writes them (``deploy/aws/start_progress``): the report of this start, and the times of the last
starts. Decisions are safe without them: a start then takes the time in the settings.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from lambdas.errors import translated
from lambdas.machine import Machine


class Phase(StrEnum):
    """The phase of a start."""

    INSTALLING = "installing"
    PULLING = "pulling"
    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BootReport:
    """The report of the machine's present run.

    ``done`` of ``total``: bytes of the image, or models; 0 if unknown. ``step`` names the step of the
    installation. ``ready_at``: when the server first took sessions. ``usual``: the median time of such a
    start; ``None`` if unknown.
    """

    phase: Phase | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    ready_at: datetime | None = None
    usual: timedelta | None = None

    @property
    def words(self) -> str:
        """A sentence for people; empty if the state needs none."""
        match self.phase:
            case Phase.INSTALLING:
                return f"Being installed: {self.step}." if self.step else "Being installed."
            case Phase.PULLING if self.total:
                return f"Fetching the model server: {self.done / 1e9:.1f} of {self.total / 1e9:.1f} GB."
            case Phase.PULLING:
                return "Fetching the model server."
            case Phase.LOADING if self.total:
                # Triton builds TensorRT's engines when it first loads a model.
                return f"Loading model {min(self.done + 1, self.total)} of {self.total}."
            case Phase.FAILED:
                return f"It could not be installed: {self.step}." if self.step else ""
            case _:
                return ""


class BootReports:
    """Reads the parameters ``report`` and ``times``."""

    def __init__(self, client: Any, report: str, times: str) -> None:
        self._client = client
        self._report = report
        self._times = times

    def read(self, machine: Machine) -> BootReport:
        """Returns the report of the machine's present run; an empty report if there is none yet."""
        with translated():
            answer = self._client.get_parameters(Names=[self._report, self._times])
        found = {parameter["Name"]: _object(parameter["Value"]) for parameter in answer["Parameters"]}
        said, times = found.get(self._report, {}), found.get(self._times, {})
        is_known = said.get("instance") == machine.instance_id
        at = _time(said, "at")
        if not is_known or not machine.is_up or at is None or at < machine.launched:
            # Of an earlier run, or of another machine. A machine without reports is in its first start.
            return BootReport(usual=_usual(times, "again" if is_known else "first"))
        phase = said.get("phase")
        return BootReport(
            phase=Phase(phase) if phase in list(Phase) else None,
            step=str(said.get("step", "")),
            done=_count(said, "done"),
            total=_count(said, "total"),
            ready_at=_time(said, "ready_at"),
            usual=_usual(times, "first" if said.get("first") is True else "again"),
        )


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _usual(times: Mapping[str, Any], kind: str) -> timedelta | None:
    seconds = times.get(kind)
    seconds = [s for s in seconds if isinstance(s, int) and s > 0] if isinstance(seconds, list) else []
    return timedelta(seconds=statistics.median(seconds)) if seconds else None


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _time(said: Mapping[str, Any], name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(said[name])
    except (KeyError, TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None
