from __future__ import annotations

import json

import pytest

from inference.engines.contract import HeadLayout, ModelInfo, Placement, Task
from inference.model_metadata import BadDescription, from_text, to_text

DETECTOR = ModelInfo(
    Task.DETECT, "nano", ("person", "Käse"), HeadLayout.YOLOX, Placement(416, 416, 1.3, 0.0, 0.0)
)
DRAWN = ModelInfo(
    Task.POSE, "pose", (), HeadLayout.END_TO_END, Placement(320, 256, 1.0, 0.0, 8.0), "Apache-2.0", True
)
CROPS = ModelInfo(Task.POSE_CROP, "crops", (), None, None, "Apache-2.0", crop_side=192)
READER = ModelInfo(Task.OCR_REC, "reader", ("", "\\", '"', "字"), HeadLayout.CTC_BEST, None)


@pytest.mark.parametrize("info", [DETECTOR, DRAWN, CROPS, READER], ids=lambda info: info.name)
def test_a_description_comes_back_as_it_was(info: ModelInfo) -> None:
    assert from_text(to_text(info)) == info


def test_an_older_description_says_nothing_of_its_licence() -> None:
    fields = json.loads(to_text(DRAWN))
    del fields["licence"], fields["synthetic"]
    info = from_text(json.dumps(fields))
    assert (info.licence, info.synthetic) == ("", False)


def test_it_is_ascii_as_triton_wants_its_configuration() -> None:
    assert to_text(READER).isascii()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "dance"}, "'dance' is not a valid Task"),
        ({"layout": "yolo9000"}, "not a valid HeadLayout"),
        ({"layout": "ctc-best"}, "has no ctc-best head"),
        ({"layout": None}, "has a layout and a placement"),
        ({"placement": {"width": 320}}, "lacks 'height'"),
        ({"placement": {"width": 0, "height": 1, "scale": 1, "left": 0, "top": 0}}, "no place"),
        ({"placement": {"width": 9, "height": 9, "scale": "NaN", "left": 0, "top": 0}}, "no place"),
        ({"placement": {"width": 9, "height": 9, "scale": 1, "left": "NaN", "top": 0}}, "no place"),
        ({"placement": {"width": float("inf"), "height": 9}}, "cannot be read"),
        ({"labels": 7}, "cannot be read"),
    ],
)
def test_a_description_that_is_wrong_is_refused_in_words(change: dict[str, object], words: str) -> None:
    fields = json.loads(to_text(DETECTOR)) | change
    with pytest.raises(BadDescription, match=words):
        from_text(json.dumps(fields))


@pytest.mark.parametrize("side", [None, 0, 100_000, "wide"])
def test_a_model_of_crops_says_how_large_they_are(side: object) -> None:
    fields = json.loads(to_text(CROPS)) | {"crop_side": side}
    with pytest.raises(BadDescription):
        from_text(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000])
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(BadDescription):
        from_text(text)
