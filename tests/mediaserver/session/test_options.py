from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from inference.engines.contract import ModelInfo, Task
from inference.ocr.script import Script
from inference.pipeline import PipelineOptions
from inference.stages import FRAME_NETWORKS, STAGES, Stage
from mediaserver.session.options import available_models, configured, default_options
from mediaserver.settings.model import Settings
from signaling.pipeline_config import Model, PipelineConfig

DETECTOR = ModelInfo(Task.DETECT, "tiny", ("red", "blue"), None, None)
SEGMENTATION = ModelInfo(Task.SEGMENT, "tiny_seg", ("red", "blue", "person"), None, None)
POSE = ModelInfo(Task.POSE, "tiny_pose", (), None, None)


def test_what_can_be_switched_on_is_what_there_are_models_for() -> None:
    models = available_models({Task.DETECT: DETECTOR, Task.OCR_DET: POSE})
    assert models.keys() == {"detect", "flow"}
    assert models["detect"].labels == ["red", "blue"]


def test_what_a_model_is_is_told_as_it_is() -> None:
    drawn = replace(DETECTOR, licence="Apache-2.0", synthetic=True)
    told = available_models({Task.DETECT: drawn, Task.POSE: replace(POSE, licence="AGPL-3.0")})
    assert told["detect"] == Model("tiny", ["red", "blue"], kinds=2, licence="Apache-2.0", synthetic=True)
    assert told["pose"] == Model("tiny_pose", [], kinds=1, licence="AGPL-3.0", synthetic=False)
    assert told["flow"] == Model("Farneback", [], kinds=0, licence=None, synthetic=False)


def test_poses_may_come_from_a_model_of_crops_where_there_is_a_detector() -> None:
    crops = ModelInfo(Task.POSE_CROP, "crops", (), None, None)
    assert available_models({Task.DETECT: DETECTOR, Task.POSE_CROP: crops})["pose"].name == "crops"
    assert "pose" not in available_models({Task.POSE_CROP: crops})


def test_what_is_legible_is_the_operators_choice() -> None:
    options = default_options(Settings(ocr_min_score=0.9, ocr_script="any"), {})
    assert (options.ocr_min_score, options.ocr_script) == (0.9, Script.ANY)
    options = default_options(Settings(), {})
    assert (options.ocr_min_score, options.ocr_script) == (
        PipelineOptions().ocr_min_score,
        PipelineOptions().ocr_script,
    )


def test_a_default_without_a_model_is_off() -> None:
    options = default_options(Settings(pose=True, flow=True), {Task.DETECT: DETECTOR})
    assert (options.detect, options.pose, options.flow) == (True, False, True)


def test_only_what_is_named_changes() -> None:
    before = PipelineOptions(detect=True, pose=True, detect_threshold=0.6)
    config = PipelineConfig(pose=False, ocr_labels=["book", "tv"])
    after, missing = configured(before, config, {Task.DETECT: DETECTOR, Task.POSE: POSE})
    assert missing == ()
    assert after == PipelineOptions(
        detect=True, pose=False, detect_threshold=0.6, ocr_labels=frozenset({"book", "tv"})
    )


def test_what_there_is_no_model_for_stays_off_and_is_named() -> None:
    config = PipelineConfig(pose=True, ocr=True, flow=True)
    after, missing = configured(PipelineOptions(), config, {Task.DETECT: DETECTOR})
    assert missing == ("pose", "ocr")
    assert (after.detect, after.pose, after.ocr, after.flow) == (True, False, False, True)


def test_switching_off_needs_no_model() -> None:
    after, missing = configured(PipelineOptions(), PipelineConfig(pose=False, ocr=False), {})
    assert (after.pose, missing) == (False, ())


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_can_be_switched_in_the_settings_and_on_the_wire(stage: Stage) -> None:
    models = {network.task: DETECTOR for entry in STAGES.values() for network in entry.networks}
    settings = msgspec.structs.replace(Settings(), **dict.fromkeys(Stage, False))
    assert not default_options(settings, models).has(stage)
    assert default_options(msgspec.structs.replace(settings, **{stage: True}), models).has(stage)
    off = default_options(settings, models)
    assert configured(off, PipelineConfig(**{stage: True}), models)[0].has(stage)


@pytest.mark.parametrize("stage", list(FRAME_NETWORKS))
def test_every_stage_that_looks_at_the_frame_has_its_threshold(stage: Stage) -> None:
    after, _ = configured(PipelineOptions(), PipelineConfig(**{f"{stage}_threshold": 0.75}), {})
    assert after.threshold(stage) == 0.75


def test_outlines_are_for_those_who_ask_for_them() -> None:
    models = {Task.DETECT: DETECTOR, Task.SEGMENT: SEGMENTATION}
    assert available_models(models)["segment"].labels == ["red", "blue", "person"]
    assert not default_options(Settings(), models).segment


def test_what_matters_most_is_said_once_each() -> None:
    config = PipelineConfig(priority=["pose", "ocr", "pose"])
    assert configured(PipelineOptions(), config, {})[0].priority == (Stage.POSE, Stage.OCR)
