from __future__ import annotations

import re

import pytest

from inference.engines.contract import Task
from mediaserver.models.sources import SOURCES, ModelSource


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_complete(name: str) -> None:
    source = SOURCES[name]
    assert source.url.startswith("https://github.com/")
    assert source.file_name in (f"{name}.onnx", f"{name}.pt")
    assert Task(source.task) in (Task.DETECT, Task.POSE)
    assert ("pose" in name) == (source.task == Task.POSE)  # names tell the task where files are looked for
    assert re.fullmatch("[0-9a-f]{64}", source.sha256)
    assert 1_000_000 < source.size < 200_000_000


def test_a_licence_that_is_not_known_is_not_permissive() -> None:
    assert ModelSource(Task.DETECT, "https://example.org/a.onnx", 1, "0", "MIT").is_permissive
    assert not ModelSource(Task.DETECT, "https://example.org/a.onnx", 1, "0", "custom").is_permissive
