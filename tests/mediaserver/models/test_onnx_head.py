"""What is left of a head in the graph: the same things are found, in a hundredth of the bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper

from inference.catalogue import CatalogueError, find_models
from inference.engines.contract import HeadLayout, ModelInfo, Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads.candidates import MAX_CANDIDATES
from inference.preprocess import place
from inference.stages import frame_network
from inference.types import Floats
from mediaserver.models.onnx_export import load_network, save, with_preprocessing
from mediaserver.models.onnx_head import keep_best_characters, keep_candidates
from tests.support.accuracy import MarkedPictures, offline

LABELS = ("cat", "dog", "cow")


def network(shape: tuple[int, ...]) -> ModelProto:
    """A model that gives what it is fed, which stands for a network's head."""
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape]) for name in ("in", "out")
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["in"], ["out"])], "any", tensors[:1], tensors[1:]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def run(model: ModelProto, head: Floats) -> Floats:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"in": head})[0], np.float32)


def crowded(task: Task, layout: HeadLayout) -> Floats:
    """Two heads of the size that 320×256 gives, with hundreds of things whose scores all differ."""
    random = np.random.default_rng(5)
    classes = 1 if task is Task.POSE else len(LABELS)
    more = {Task.POSE: 51, Task.SEGMENT: 32}.get(task, 0)
    if layout is HeadLayout.YOLOX:
        head = random.normal(0, 0.3, (2, 1680, 5 + classes))
        head[..., 4:] = random.random((2, 1680, 1 + classes)) ** 2
    elif layout is HeadLayout.END_TO_END:
        head = random.uniform(0, 100, (2, 300, 6 + more))
        head[..., 2:4] += 100
        head[..., 4] = random.random((2, 300))
        head[..., 5] = random.integers(-1, len(LABELS) + 1, (2, 300))
    else:
        head = random.uniform(0, 200, (2, 4 + classes + more, 1680))
        head[:, 4 : 4 + classes] = random.random((2, classes, 1680)) ** 6
    return head.astype(np.float32)


@pytest.mark.parametrize("threshold", [0.05, 0.35, 0.7])
@pytest.mark.parametrize(
    ("task", "layout"),
    [
        (Task.DETECT, HeadLayout.ULTRALYTICS_DETECT),
        (Task.DETECT, HeadLayout.YOLOX),
        (Task.DETECT, HeadLayout.END_TO_END),
        (Task.POSE, HeadLayout.ULTRALYTICS_POSE),
        (Task.POSE, HeadLayout.END_TO_END),
        (Task.SEGMENT, HeadLayout.ULTRALYTICS_SEGMENT),
        (Task.SEGMENT, HeadLayout.END_TO_END),
    ],
)
def test_the_same_is_found(task: Task, layout: HeadLayout, threshold: float) -> None:
    labels = () if task is Task.POSE else LABELS
    before = ModelInfo(task, "any", labels, layout, place(320, 256, centred=layout is not HeadLayout.YOLOX))
    heads = crowded(task, layout)
    model = network(heads.shape[1:])
    after = ModelInfo(task, "any", labels, keep_candidates(model, before), before.placement)
    kept = run(model, heads)
    assert kept.shape[1] <= MAX_CANDIDATES
    prototypes = np.random.default_rng(1).normal(0, 1, (32, 64, 80)).astype(np.float32)
    others = (prototypes,) if task is Task.SEGMENT else ()
    decode = frame_network(task)
    assert decode is not None
    for head, small in zip(heads, kept, strict=True):
        expected, found = (
            decode.decode((each, *others), info, threshold) for each, info in ((head, before), (small, after))
        )
        assert len(expected.boxes) > 2
        assert np.array_equal(found.scores, expected.scores)
        assert np.array_equal(found.classes, expected.classes)
        np.testing.assert_allclose(
            found.boxes, expected.boxes, rtol=1e-6
        )  # exp is not the same to the last bit


def test_small_networks_and_those_with_too_many_classes_keep_what_they_have() -> None:
    few = network((7, 40))
    info = ModelInfo(Task.DETECT, "any", LABELS, HeadLayout.ULTRALYTICS_DETECT, place(64, 64, centred=True))
    assert keep_candidates(few, info) is HeadLayout.CANDIDATES
    assert run(few, np.zeros((1, 7, 40), np.float32)).shape == (1, 40, 6)
    many = ModelInfo(Task.DETECT, "any", LABELS * 1000, HeadLayout.ULTRALYTICS_DETECT, info.placement)
    assert keep_candidates(network((3004, 40)), many) is HeadLayout.ULTRALYTICS_DETECT


def test_a_yolox_head_of_another_size_is_refused() -> None:
    info = ModelInfo(Task.DETECT, "any", LABELS, HeadLayout.YOLOX, place(320, 256, centred=False))
    with pytest.raises(CatalogueError, match="1600 anchors in a head that should have 1680"):
        keep_candidates(network((1600, 8)), info)


def test_the_best_character_is_told_in_two_bytes() -> None:
    probabilities = np.zeros((1, 3, 18_000), np.float32)
    best = [0, 4_711, 17_999]
    probabilities[0, range(3), best] = (0.9, 0.8, 0.7)
    model = network((3, 18_000))
    assert keep_best_characters(model) is HeadLayout.CTC_BEST
    high, low, probability = np.moveaxis(run(model, probabilities)[0], 1, 0)
    assert (256 * high + low).tolist() == best
    assert probability.tolist() == pytest.approx([0.9, 0.8, 0.7])


# --- with trained models --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (Task.DETECT, "yolo_coco_n.onnx"),
        (Task.DETECT, "yolo_coco_n_dyn.onnx"),
        (Task.POSE, "yolo11n_pose.onnx"),
    ],
)
async def test_average_precision_is_the_same(models_dir: Path, tmp_path: Path, task: Task, name: str) -> None:
    folder = models_dir.parent / "accuracy"
    if not folder.is_dir():
        pytest.skip(f"no directory {folder}")
    path = models_dir / name
    save(with_preprocessing(load_network(path), path, task), tmp_path / name)
    pictures = MarkedPictures.photographs(folder, task)
    results = [(await offline({task: each}, pictures))[0] for each in (path, tmp_path / name)]
    assert pictures.average_precision(results[0]) == pictures.average_precision(results[1])
    assert results[0] == results[1]


async def test_every_line_is_read_alike_in_half_precision(models_dir: Path, tmp_path: Path) -> None:
    """The exported recogniser with its last numbers rounded as in a TensorRT engine."""
    path = find_models(models_dir).get(Task.OCR_REC)
    if path is None:
        pytest.skip("the package rapidocr, which carries the OCR models, is not installed")
    model = with_preprocessing(load_network(path), path, Task.OCR_REC)
    whole = tmp_path / "whole.onnx"
    save(model, whole)
    (last,) = [node for node in model.graph.node if node.output[0] == "head"]
    halved = helper.make_node("Cast", [last.input[0]], ["half"], to=TensorProto.FLOAT16)
    back = helper.make_node("Cast", ["half"], ["head"], to=TensorProto.FLOAT)
    model.graph.node.remove(last)
    model.graph.node.extend([halved, back])
    half = tmp_path / "half.onnx"
    save(model, half)
    lines = np.random.default_rng(3).integers(0, 256, (2, 48, 320, 3), np.uint8)
    heads = []
    for file in (whole, half):
        engine = await EmbeddedEngine.open({Task.OCR_REC: file}, threads=1)
        heads.append((await engine.infer(Task.OCR_REC, lines))[0])
        await engine.close()
    assert np.array_equal(heads[0][..., :2], heads[1][..., :2])
