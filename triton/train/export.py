"""Exports the trained network as two ONNX models in the format of YOLO exporters."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from network import HEIGHT, KEYPOINTS, WIDTH, Detector, Network, PoseModel

_LEAST_VALUES = 64
"""Least number of values of a constant that is halved. Smaller constants are shapes and strides."""


def export(network: Network, labels: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """Writes ``detect.onnx`` and ``pose.onnx``; returns their paths."""
    detect, pose = folder / "detect.onnx", folder / "pose.onnx"
    shared = {"stride": "32", "imgsz": str([HEIGHT, WIDTH]), "license": "Apache-2.0", "synthetic": "true"}
    names = {"names": str(dict(enumerate(labels))), "task": "detect"}
    _write(Detector(network), detect, {**shared, **names})
    people = {"names": str({0: labels[0]}), "task": "pose", "kpt_shape": str([KEYPOINTS, 3])}
    _write(PoseModel(network), pose, {**shared, **people})
    return detect, pose


def _write(model: torch.nn.Module, path: Path, metadata: dict[str, str]) -> None:
    example, buffer = torch.zeros(1, 3, HEIGHT, WIDTH), io.BytesIO()
    torch.onnx.export(
        model.eval(),
        (example,),
        buffer,
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    graph = onnx.load_from_string(buffer.getvalue())
    # The exporter does not know how long the axis is that `cat` joins; readers tell the layout by it.
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = model(example).shape[1]
    _halve(graph)
    helper.set_model_props(graph, metadata)
    onnx.checker.check_model(graph, full_check=True)
    path.write_bytes(graph.SerializeToString())


def _halve(model: onnx.ModelProto) -> None:
    """Stores weights as float16, in half the size. They are cast to float32 in the graph, so runs do not
    change.
    """
    graph = model.graph
    casts = []
    for weights in graph.initializer:
        if weights.data_type == TensorProto.FLOAT and np.prod(weights.dims) >= _LEAST_VALUES:
            values, name = numpy_helper.to_array(weights), weights.name
            weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            casts.append(helper.make_node("Cast", [weights.name], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
