"""Which model files the settings lead to, and whose they are."""

from __future__ import annotations

from pathlib import Path

from inference.catalogue import BUILT_IN, CatalogueError, find_models
from inference.engines.contract import Task
from mediaserver.errors import ModelError
from mediaserver.models.sources import SOURCES
from mediaserver.paths import model_cache
from mediaserver.settings.model import Settings


def files_in_use(settings: Settings) -> dict[Task, Path]:
    """As `inference.catalogue.find_models`, with what was pulled. Raises `ModelError`."""
    try:
        return find_models(
            settings.models, cache=model_cache(), detect=settings.detect_model, pose=settings.pose_model
        )
    except CatalogueError as exc:
        raise ModelError(str(exc)) from exc
    except OSError as exc:
        raise ModelError(f"no models: cannot read {exc.filename}: {exc.strerror}") from exc


def origin(path: Path, task: Task | None) -> str:
    """Where a model came from: ``yours``, ``pulled`` or ``built in``. ``task`` is what it is used for."""
    folder = path.resolve().parent
    if task in (Task.OCR_DET, Task.OCR_REC) or folder == BUILT_IN.resolve():
        return "built in"
    return "pulled" if folder == model_cache().resolve() and path.stem in SOURCES else "yours"
