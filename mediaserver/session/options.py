"""Converts a client's configuration on the wire to options of the pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from inference.engines.contract import ModelInfo, Task
from inference.ocr.script import Script
from inference.pipeline import PipelineOptions
from inference.stages import FRAME_NETWORKS, STAGES, Stage, networks_of
from mediaserver.settings.model import Settings
from signaling.messages import ErrorCode, ProtocolError
from signaling.pipeline_config import Model, PipelineConfig


def available_models(models: Mapping[Task, ModelInfo]) -> dict[str, Model]:
    """Returns the stages that can be switched on, as in ``welcome``. OCR's characters are not listed."""
    found: dict[str, Model] = {}
    for stage in STAGES:
        networks = networks_of(stage, models)
        if networks is not None:
            infos = [models[network.task] for network in networks]
            found[stage] = _model(stage, infos)
    return found


def _model(stage: Stage, infos: Sequence[ModelInfo]) -> Model:
    """Describes the models of a stage as one model."""
    network = FRAME_NETWORKS.get(stage)
    labels = [] if network is None else list(infos[0].labels)
    licences = dict.fromkeys(info.licence for info in infos if info.licence)
    return Model(
        name=" + ".join(info.name for info in infos) or STAGES[stage].method,
        labels=labels,
        kinds=1 if network is not None and network.label is not None else len(labels),
        licence=", ".join(licences) or None,
        synthetic=any(info.synthetic for info in infos),
    )


def default_options(settings: Settings, models: Mapping[Task, ModelInfo]) -> PipelineOptions:
    """Returns the options of a client that sends none: the settings, without stages that lack a model."""
    available = available_models(models)
    on: dict[str, Any] = {stage: getattr(settings, stage) and stage in available for stage in Stage}
    return PipelineOptions(**on, ocr_min_score=settings.ocr_min_score, ocr_script=Script(settings.ocr_script))


def model_unavailable(stages: Iterable[Stage]) -> ProtocolError:
    """Makes the error for a client that asks for stages without a model."""
    return ProtocolError(ErrorCode.MODEL_UNAVAILABLE, f"this server has no model for {', '.join(stages)}")


def configured(
    options: PipelineOptions, config: PipelineConfig, models: Mapping[Task, ModelInfo]
) -> tuple[PipelineOptions, tuple[Stage, ...]]:
    """Returns ``options`` changed by ``config``, and the requested stages that lack a model.

    These stages stay off; the other changes take effect.
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
    if "priority" in changes:
        changes["priority"] = tuple(dict.fromkeys(map(Stage, changes["priority"])))
    return dataclasses.replace(options, **changes), missing
