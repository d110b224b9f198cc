"""Pre-processing inside the graph, held against that outside it."""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, checker, helper

from inference.engines.contract import Placement, Task
from inference.model_metadata import INPUT
from inference.preprocess import UNIT, UNSCALED, InputSpec, place, to_tensor
from inference.stages import NETWORKS, Network
from mediaserver.models.onnx_front import prepend_preprocessing

SPECS = {
    "Ultralytics": InputSpec(place(320, 256, centred=True), False, *UNIT),
    "YOLOX": InputSpec(place(320, 256, centred=False), True, *UNSCALED),
    "exactly the frame": InputSpec(place(320, 240, centred=True), False, *UNIT),
    "OCR": InputSpec(None, True, (127.5,) * 3, (1 / 127.5,) * 3),
    "half the size": InputSpec(place(160, 128, centred=True), False, *UNIT),
    "larger": InputSpec(place(640, 640, centred=True), False, *UNIT),
    "YOLOX at 416": InputSpec(place(416, 416, centred=False), True, *UNSCALED),
}


def front(spec: InputSpec, network: Network) -> onnxruntime.InferenceSession:
    """A model that gives what its network would be fed."""
    sizes = ["n", 3, *_sides(spec.placement)]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name in ("images", "fed")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["images"], ["fed"])], "front", tensors[:1], tensors[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    prepend_preprocessing(model, spec, network.height, network.width)
    checker.check_model(model)
    assert [node.op_type for node in model.graph.node if INPUT in node.input] == ["Cast"]
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def _sides(placement: Placement | None) -> tuple[int | str, int | str]:
    return ("height", "width") if placement is None else (placement.height, placement.width)


@pytest.mark.parametrize("name", SPECS)
def test_the_graph_feeds_its_network_what_the_engine_would(name: str) -> None:
    spec = SPECS[name]
    network = NETWORKS[Task.OCR_DET if spec.placement is None else Task.DETECT]
    noise = np.random.default_rng(7).integers(0, 256, (240, 320, 3), np.uint8)
    frames = np.stack((cv2.GaussianBlur(noise, (0, 0), 3), np.full_like(noise, 77)))
    fed = np.asarray(front(spec, network).run(None, {INPUT: frames})[0])
    expected = to_tensor(frames, spec)
    assert fed.shape == expected.shape
    if spec.placement is None or spec.placement.scale == 1.0:
        assert np.array_equal(fed, expected)
    else:  # OpenCV's scaling and ONNX's round some pixels differently, by one level
        differing = np.abs(fed - expected) > spec.scale[0] / 2
        assert np.abs(fed - expected).max() <= 1.01 * spec.scale[0]
        assert differing.mean() < 0.2
