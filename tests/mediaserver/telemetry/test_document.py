"""The description of metrics is that of the metrics: names, labels, and the values of labels."""

from __future__ import annotations

import re

import pytest

from inference.engines.contract import EngineError
from inference.load_shedding import ORDER
from mediaserver.server.admission import RefusalReason
from mediaserver.server.scoreboard import LoadPart
from mediaserver.telemetry.document import BEGIN, END, with_metrics
from mediaserver.telemetry.metrics import Metrics
from mediaserver.webrtc.frame_drops import DropReason

DESCRIBED = {metric.name.removeprefix("mediaserver_"): metric for metric in Metrics().described}


def subclasses(kind: type) -> set[str]:
    return {each.__name__ for each in kind.__subclasses__()} | {
        name for each in kind.__subclasses__() for name in subclasses(each)
    }


def test_each_metric_is_described_by_its_name() -> None:
    exposed = set(re.findall(r"^# HELP mediaserver_(\w+)", Metrics().exposition().decode(), re.MULTILINE))
    assert {name for name in exposed if not name.endswith("_created")} == DESCRIBED.keys()


@pytest.mark.parametrize(
    ("metric", "label", "values"),
    [
        ("load_part", "part", set(LoadPart)),
        ("connections_refused_total", "reason", {*RefusalReason, "origin"}),
        ("frames_dropped_total", "reason", set(DropReason)),
        ("stages_degraded", "stage", set(ORDER)),
        ("model_errors_total", "error", subclasses(EngineError)),
    ],
)
def test_values_in_words_are_those_of_the_code(metric: str, label: str, values: set[str]) -> None:
    assert values <= set(re.findall(r"`(\w+)`", DESCRIBED[metric].labels[label]))


def test_only_the_table_between_the_marks_is_written() -> None:
    made = with_metrics(f"before\n{BEGIN}old\n{END}after\n")
    assert made.startswith(f"before\n{BEGIN}")
    assert made.endswith(f"{END}after\n")
    assert "old" not in made
    assert "| `mediaserver_ready` | gauge |" in made
    with pytest.raises(ValueError, match="lacks the lines"):
        with_metrics("no marks\n")
