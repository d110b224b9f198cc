"""From what a client asks for on the wire to what the pipeline runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from inference.engines.contract import ModelInfo, Task
from inference.pipeline import PipelineOptions
from mediaserver.settings.model import Settings
from signaling.messages import Model, PipelineConfig

_NEEDED: dict[str, tuple[Task, ...]] = {
    "detect": (Task.DETECT,),
    "pose": (Task.POSE,),
    "ocr": (Task.OCR_DET, Task.OCR_REC),
    "flow": (),
}
"""The stages that a client can switch, and the models that each needs."""


def available_models(models: Mapping[Task, ModelInfo]) -> dict[str, Model]:
    """What can be switched on, as ``welcome`` says it. Flow needs no model; OCR's alphabet is not listed."""
    found = {}
    for stage, needed in _NEEDED.items():
        if all(task in models for task in needed):
            labels = list(models[Task.DETECT].labels) if stage == "detect" else []
            name = " + ".join(models[task].name for task in needed) or "Farneback"
            found[stage] = Model(name=name, labels=labels)
    return found


def default_options(settings: Settings, models: Mapping[Task, ModelInfo]) -> PipelineOptions:
    """What runs for a client that asks for nothing: the settings, as far as there are models for it."""
    available = available_models(models)
    return PipelineOptions(
        detect=settings.detect and "detect" in available,
        pose=settings.pose and "pose" in available,
        ocr=settings.ocr and "ocr" in available,
        flow=settings.flow,
    )


def configured(
    options: PipelineOptions, config: PipelineConfig, models: Mapping[Task, ModelInfo]
) -> tuple[PipelineOptions, tuple[str, ...]]:
    """``options`` with what ``config`` changes, and the stages that it asks for without a model for them.

    Those stay off; the rest takes effect.
    """
    available = available_models(models)
    changes: dict[str, Any] = {
        field.name: value
        for field in msgspec.structs.fields(config)
        if (value := getattr(config, field.name)) is not UNSET
    }
    missing = tuple(stage for stage in _NEEDED if changes.get(stage) and stage not in available)
    changes |= dict.fromkeys(missing, False)
    if "ocr_labels" in changes:
        changes["ocr_labels"] = frozenset(changes["ocr_labels"])
    return dataclasses.replace(options, **changes), missing
