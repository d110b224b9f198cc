"""Chooses the model files by the settings, and reports the origin of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from inference.catalogue import BUILT_IN, CatalogueError, find_models
from inference.engines.contract import Task
from inference.stages import FRAME_NETWORKS, is_ocr
from mediaserver.errors import ModelError
from mediaserver.models.sources import DEFAULTS, SOURCES
from mediaserver.paths import model_cache
from mediaserver.settings.model import Settings

PULL_DEFAULTS = f"mediaserver models pull {' '.join(DEFAULTS.values())}"
"""The command that fetches models for the real world."""
DRAWN_ONLY = "trained on drawn scenes and will not recognise real people"


def files_in_use(settings: Settings) -> dict[Task, Path]:
    """As `inference.catalogue.find_models`, with the pulled models. Raises `ModelError`.

    If the setting ``pose_method`` is given, the models of the other method are left out.
    """
    try:
        named = {stage: getattr(settings, f"{stage}_model") for stage in FRAME_NETWORKS}
        return _of_pose_method(settings, find_models(settings.models, cache=model_cache(), named=named))
    except CatalogueError as exc:
        raise ModelError(str(exc)) from exc
    except OSError as exc:
        raise ModelError(f"no models: cannot read {exc.filename}: {exc.strerror}") from exc


def _of_pose_method(settings: Settings, found: dict[Task, Path]) -> dict[Task, Path]:
    if (method := settings.pose_method) is None:
        return found
    ways = {"top-down": Task.POSE_CROP, "single-shot": Task.POSE}
    if ways[method] not in found and settings.pose_model is not None:
        raise ModelError(
            f"setting 'pose_method' is {method!r}, "
            f"but 'pose_model' {settings.pose_model!r} is no {method} model"
        )
    if method == "top-down" and Task.POSE_CROP not in found:
        raise ModelError(
            "setting 'pose_method' is 'top-down', for which there is no model: "
            "mediaserver models pull movenet_thunder_topdown"
        )
    others = set(ways.values()) - {ways[method]}
    return {task: path for task, path in found.items() if task not in others}


def synthetic_words(files: Mapping[Task, Path]) -> str | None:
    """Returns a warning if the detector is built in, and so trained on drawn scenes only; else ``None``.

    `PULL_DEFAULTS` is the remedy.
    """
    if origin(files[Task.DETECT], Task.DETECT) != "built in":
        return None
    return f"the built-in models were {DRAWN_ONLY}"


def origin(path: Path, task: Task | None) -> str:
    """Returns the origin of a model file: ``yours``, ``pulled`` or ``built in``."""
    folder = path.resolve().parent
    if (task is not None and is_ocr(task)) or folder == BUILT_IN.resolve():
        return "built in"
    return "pulled" if folder == model_cache().resolve() and path.stem in SOURCES else "yours"
