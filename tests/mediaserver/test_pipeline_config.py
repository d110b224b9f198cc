from __future__ import annotations

import pytest

from inference.engine import ModelInfo, Task
from inference.pipeline import PipelineOptions
from mediaserver.pipeline_config import available_models, configured, default_options
from mediaserver.settings import Settings
from signaling.messages import ErrorCode, PipelineConfig, ProtocolError

DETECTOR = ModelInfo(Task.DETECT, "tiny", ("red", "blue"), None, None)
POSE = ModelInfo(Task.POSE, "tiny_pose", (), None, None)


def test_what_can_be_switched_on_is_what_there_are_models_for() -> None:
    models = available_models({Task.DETECT: DETECTOR, Task.OCR_DET: POSE})
    assert models.keys() == {"detect", "flow"}
    assert models["detect"].labels == ["red", "blue"]


def test_a_default_without_a_model_is_off() -> None:
    options = default_options(Settings(pose=True, flow=True), {Task.DETECT: DETECTOR})
    assert (options.detect, options.pose, options.flow) == (True, False, True)


def test_only_what_is_named_changes() -> None:
    before = PipelineOptions(detect=True, pose=True, detect_threshold=0.6)
    config = PipelineConfig(pose=False, ocr_labels=["book", "tv"])
    after = configured(before, config, {Task.DETECT: DETECTOR, Task.POSE: POSE})
    assert after == PipelineOptions(
        detect=True, pose=False, detect_threshold=0.6, ocr_labels=frozenset({"book", "tv"})
    )


def test_what_there_is_no_model_for_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match="pose, ocr") as refused:
        configured(PipelineOptions(), PipelineConfig(pose=True, ocr=True), {Task.DETECT: DETECTOR})
    assert refused.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_switching_off_needs_no_model() -> None:
    assert configured(PipelineOptions(), PipelineConfig(pose=False, ocr=False), {}).pose is False
