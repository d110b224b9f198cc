"""Which model files the settings lead to, and whose they are."""

from __future__ import annotations

from pathlib import Path

from inference.catalogue import BUILT_IN, CatalogueError, find_models
from inference.engines.contract import Task
from inference.stages import FRAME_NETWORKS, frame_network
from mediaserver.errors import ModelError
from mediaserver.models.sources import SOURCES
from mediaserver.paths import model_cache
from mediaserver.settings.model import Settings


def files_in_use(settings: Settings) -> dict[Task, Path]:
    """As `inference.catalogue.find_models`, with what was pulled. Raises `ModelError`."""
    try:
        named = {stage: getattr(settings, f"{stage}_model") for stage in FRAME_NETWORKS}
        return find_models(settings.models, cache=model_cache(), named=named)
    except CatalogueError as exc:
        raise ModelError(str(exc)) from exc
    except OSError as exc:
        raise ModelError(f"no models: cannot read {exc.filename}: {exc.strerror}") from exc


def origin(path: Path, task: Task | None) -> str:
    """Where a model came from: ``yours``, ``pulled`` or ``built in``. ``task`` is what it is used for."""
    folder = path.resolve().parent
    is_ocr = task is not None and frame_network(task) is None
    if is_ocr or folder == BUILT_IN.resolve():
        return "built in"
    return "pulled" if folder == model_cache().resolve() and path.stem in SOURCES else "yours"
