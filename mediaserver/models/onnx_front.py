"""Pre-processing from the uint8 frame to the network's input, as nodes of an exported model's graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from inference.model_metadata import INPUT, KEY
from inference.preprocess import PADDING, InputSpec
from inference.types import FRAME_HEIGHT, FRAME_WIDTH


def picture_input(model: ModelProto) -> ValueInfoProto:
    """Returns the input for pictures. Before IR version 4, initializers are also listed as inputs."""
    constants = {item.name for item in model.graph.initializer}
    entry: ValueInfoProto = next(entry for entry in model.graph.input if entry.name not in constants)
    return entry


def prepend_preprocessing(model: ModelProto, spec: InputSpec, height: int | None, width: int | None) -> None:
    """Adds nodes that do the same as `inference.preprocess.to_tensor`.

    The new input is uint8 [n, height, width, 3] RGB. A side that is ``None`` is dynamic.
    """
    graph, entry = model.graph, picture_input(model)
    nodes, value = [], INPUT
    steps = _steps(spec)
    for number, (operator, constants, attributes) in enumerate(steps):
        names = [f"{KEY}/{number}/{index}" for index in range(len(constants))]
        graph.initializer.extend(map(numpy_helper.from_array, constants, names))
        result = entry.name if number == len(steps) - 1 else f"{KEY}/{number}"
        nodes.append(helper.make_node(operator, [value, *names], [result], result, **attributes))
        value = result
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *kept])
    dimensions = ["batch", height, width, 3]
    entry.CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, dimensions))


def _steps(spec: InputSpec) -> list[tuple[str, tuple[NDArray[Any], ...], dict[str, Any]]]:
    """Returns the operators in order, each with its constant inputs and attributes."""
    steps: list[tuple[str, tuple[NDArray[Any], ...], dict[str, Any]]] = [
        # First, as TensorRT accepts uint8 only in a Cast, not even in a Transpose (NVIDIA/TensorRT#3985).
        ("Cast", (), {"to": TensorProto.FLOAT}),
        ("Transpose", (), {"perm": (0, 3, 1, 2)}),
    ]
    if (place := spec.placement) is not None:
        width, height = round(FRAME_WIDTH * place.scale), round(FRAME_HEIGHT * place.scale)
        if (width, height) != (FRAME_WIDTH, FRAME_HEIGHT):
            # ONNX rounds the size down; a hundredth of a pixel compensates for inexact scales.
            scales = (1, 1, (height + 0.01) / FRAME_HEIGHT, (width + 0.01) / FRAME_WIDTH)
            arguments = (np.empty(0, np.float32), np.array(scales, np.float32))
            steps.append(("Resize", arguments, {"mode": "linear"}))
            steps.append(("Round", (), {}))
        left, top = int(place.left), int(place.top)
        pads = (0, 0, top, left, 0, 0, place.height - top - height, place.width - left - width)
        if any(pads):
            steps.append(("Pad", (np.array(pads, np.int64), np.array(PADDING, np.float32)), {}))
    if spec.bgr:
        steps.append(("Gather", (np.array((2, 1, 0), np.int64),), {"axis": 1}))
    if any(spec.mean):
        steps.append(("Sub", (np.array(spec.mean, np.float32).reshape(1, 3, 1, 1),), {}))
    if spec.scale != (1.0, 1.0, 1.0):
        steps.append(("Mul", (np.array(spec.scale, np.float32).reshape(1, 3, 1, 1),), {}))
    return steps
