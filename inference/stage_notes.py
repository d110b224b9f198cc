"""Records the time and the failure of each stage while a frame is processed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from inference.engines.contract import EngineError
from inference.stages import Stage

UNREADABLE = (ValueError, IndexError)
"""Exceptions from decoding a head that does not match its model's description.

`UnknownHead` is a ``ValueError``.
"""


class StageNotes:
    """Times and failures of the stages of one frame. A failed stage does not stop the others."""

    def __init__(self) -> None:
        self.timing_ms: dict[str, float] = {}
        self.failures: dict[str, str] = {}

    @contextlib.contextmanager
    def taking(self, stage: Stage, *failures: type[Exception]) -> Iterator[None]:
        """Adds the duration of the block to the stage's time. Exceptions in ``failures`` are recorded."""
        began = time.perf_counter()
        try:
            yield
        except failures as exc:
            self.failures[stage] = in_words(exc)
        finally:
            spent_ms = (time.perf_counter() - began) * 1000.0
            self.timing_ms[stage] = self.timing_ms.get(stage, 0.0) + spent_ms


def in_words(exc: Exception) -> str:
    """Returns the reason of a stage's failure as text."""
    return str(exc) if isinstance(exc, EngineError) else f"the model's output cannot be read: {exc}"
