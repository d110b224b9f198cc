"""What a model file says of itself, as JSON: ``{"task", "input", "outputs", "metadata"}``."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference.catalogue import CatalogueError, NetworkFacts, describe
from inference.engines.contract import Task
from inference.model_metadata import BadDescription, from_text, to_text

_INT64 = 2**63


def one_input(data: bytes) -> None:
    text = data.decode(errors="replace")
    with suppress(BadDescription):
        assert from_text(to_text(from_text(text))) == from_text(text)
    try:
        fields = json.loads(text)
        task = Task(fields["task"])
        facts = NetworkFacts(
            _shape(fields["input"]),
            [_shape(sizes) for sizes in fields["outputs"]],
            {str(key): str(value) for key, value in fields["metadata"].items()},
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return  # no model file can say this
    with suppress(CatalogueError):
        describe(task, Path("model.onnx"), facts)


def _shape(sizes: Any) -> tuple[int | str | None, ...]:
    """As ONNX Runtime gives it."""
    return tuple(
        max(-_INT64, min(_INT64 - 1, size)) if isinstance(size, int) else None if size is None else str(size)
        for size in sizes
    )
