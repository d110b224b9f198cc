"""From what a client asks for on the wire to what the pipeline runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from inference.engines.contract import ModelInfo, Task
from inference.pipeline import PipelineOptions
from inference.stages import FRAME_NETWORKS, STAGES, Stage
from mediaserver.settings.model import Settings
from signaling.messages import Model, PipelineConfig


def available_models(models: Mapping[Task, ModelInfo]) -> dict[str, Model]:
    """What can be switched on, as ``welcome`` says it. OCR's alphabet is not listed."""
    found: dict[str, Model] = {}
    for stage, entry in STAGES.items():
        if all(network.task in models for network in entry.networks):
            infos = [models[network.task] for network in entry.networks]
            labels = list(infos[0].labels) if stage in FRAME_NETWORKS else []
            found[stage] = Model(name=" + ".join(info.name for info in infos) or entry.method, labels=labels)
    return found


def default_options(settings: Settings, models: Mapping[Task, ModelInfo]) -> PipelineOptions:
    """What runs for a client that asks for nothing: the settings, as far as there are models for it."""
    available = available_models(models)
    on: dict[str, Any] = {stage: getattr(settings, stage) and stage in available for stage in Stage}
    return PipelineOptions(**on)


def configured(
    options: PipelineOptions, config: PipelineConfig, models: Mapping[Task, ModelInfo]
) -> tuple[PipelineOptions, tuple[Stage, ...]]:
    """``options`` with what ``config`` changes, and the stages that it asks for without a model for them.

    Those stay off; the rest takes effect.
    """
    available = available_models(models)
    changes: dict[str, Any] = {
        field.name: value
        for field in msgspec.structs.fields(config)
        if (value := getattr(config, field.name)) is not UNSET
    }
    missing = tuple(stage for stage in Stage if changes.get(stage) and stage not in available)
    changes |= dict.fromkeys(missing, False)
    if "ocr_labels" in changes:
        changes["ocr_labels"] = frozenset(changes["ocr_labels"])
    return dataclasses.replace(options, **changes), missing
