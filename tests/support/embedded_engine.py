"""The embedded engine for a test, which leaves no thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from inference.engines.contract import EngineObserver, Task
from inference.engines.embedded import EmbeddedEngine


@contextlib.asynccontextmanager
async def opened(
    files: dict[Task, Path], observer: EngineObserver | None = None, threads: int = 0
) -> AsyncIterator[EmbeddedEngine]:
    engine = await EmbeddedEngine.open(files, observer=observer, threads=threads)
    try:
        yield engine
    finally:
        await engine.close()
        assert inference_threads() == []


def inference_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "inference" in thread.name]
