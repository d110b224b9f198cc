from __future__ import annotations

import re

import pytest

from inference.engines.contract import Task
from mediaserver.models.conversion import CONVERSIONS
from mediaserver.models.sources import DEFAULTS, SOURCES, Format, ModelSource, SourceFile

FILE = SourceFile("https://example.org/a.onnx", 1, "0")


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_complete(name: str) -> None:
    source = SOURCES[name]
    assert source.authors
    assert source.task in (Task.DETECT, Task.POSE, Task.POSE_CROP)
    # Names tell the task where files are looked for.
    assert ("pose" in name) == (source.task is Task.POSE)
    assert ("topdown" in name) == (source.task is Task.POSE_CROP)
    assert 1_000_000 < source.size < 200_000_000
    for file in source.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert source.package or file.place.startswith("https://github.com/")
    if source.format is Format.TENSORFLOW_JS:
        assert name in CONVERSIONS
        assert [file.name.rpartition(".")[2] for file in source.files] == ["json", "bin", "LICENSE"]
    else:
        assert source.files[0].name in (f"{name}.onnx", f"{name}.pt")


def test_what_is_pulled_by_default_may_be_passed_on() -> None:
    for task, name in DEFAULTS.items():
        assert SOURCES[name].task is task
        assert SOURCES[name].is_permissive


def test_a_licence_that_is_not_known_is_not_permissive() -> None:
    assert ModelSource(Task.DETECT, (FILE,), "MIT", "us").is_permissive
    assert not ModelSource(Task.DETECT, (FILE,), "custom", "us").is_permissive
