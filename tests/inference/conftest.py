from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from inference.catalogue import find_models
from inference.engines.embedded import EmbeddedEngine


@pytest.fixture
async def engine(tiny_models: Path) -> AsyncIterator[EmbeddedEngine]:
    """Red and blue objects, green persons, and real OCR."""
    engine = await EmbeddedEngine.open(find_models(tiny_models))
    yield engine
    await engine.close()


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2, "vision") as executor:
        yield executor
