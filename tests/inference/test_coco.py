from __future__ import annotations

import ast
from pathlib import Path

import onnxruntime

from inference.coco import COCO_LABELS


def test_there_are_80_names_without_a_line_break_inside() -> None:
    assert len(set(COCO_LABELS)) == 80
    assert COCO_LABELS[10] == "fire hydrant"
    assert COCO_LABELS[79] == "toothbrush"
    assert not any("\n" in name or "  " in name for name in COCO_LABELS)


def test_they_are_in_the_order_of_a_trained_detector(models_dir: Path) -> None:
    session = onnxruntime.InferenceSession(str(models_dir / "yolo_coco_n.onnx"))
    names = ast.literal_eval(session.get_modelmeta().custom_metadata_map["names"])
    assert tuple(names[index] for index in range(80)) == COCO_LABELS
