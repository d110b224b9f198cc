from __future__ import annotations

from inference.engines.contract import ModelInfo, Task
from inference.pipeline import PipelineOptions
from mediaserver.session.options import available_models, configured, default_options
from mediaserver.settings.model import Settings
from signaling.messages import PipelineConfig

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
