"""Converts NanoDet (RangiLyu, 2020) from TensorFlow.js to ONNX, layout `HeadLayout.ULTRALYTICS_DETECT`.

Source of the head: Li et al., "Generalized Focal Loss", 2020. For each side of a box the network gives a
distribution over distances. Its mean is the distance of that side from the centre of the cell, in strides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference.coco import COCO_LABELS
from inference.engines.contract import Task
from mediaserver.models.onnx_builder import OnnxBuilder
from mediaserver.models.tfjs_graph import TfjsGraph
from mediaserver.models.tfjs_network import Picture, TfjsNetwork

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True, slots=True)
class InputSize:
    """Size of the network's input in pixels; both are multiples of 32."""

    width: int
    height: int


SIZES = {
    "nanodet_g": InputSize(416, 320),
    "nanodet_g_320x256": InputSize(320, 256),
    "nanodet_g_512x384": InputSize(512, 384),
}
"""By the name in `mediaserver.models.sources`. NanoDet was trained at 416×416.

A larger input finds more small objects and takes longer.
"""
_INPUT, _INPUT_SIDE = "input_1", 416
_HEADS = tuple(f"PartitionedCall/transpose_{number}" for number in (99, 105, 111))
"""Outputs of the original, one for each stride: logits of 80 classes, then of four sides."""
_MEAN = (103.53, 116.28, 123.675)
_DEVIATION = (57.375, 57.12, 58.395)
"""Mean and standard deviation of blue, green and red in NanoDet's training."""
_DISTANCES = 11


def nanodet(graph: TfjsGraph, size: InputSize) -> ModelProto:
    """Converts the graph. Raises `mediaserver.errors.ModelError`.

    Input: ``images`` float32 [batch, 3, height, width] RGB in 0..1. Output: ``head``
    [batch, 84, anchors].
    """
    builder = OnnxBuilder()
    network = TfjsNetwork(graph, builder, _INPUT_SIDE)
    network.give(_INPUT, Picture(_normalised(builder), channels_last=False))
    parts = [_decoded(builder, network.picture(name), size) for name in _HEADS]
    head = builder.add("Concat", *parts, axis=2)
    anchors = sum(size.width * size.height // stride**2 for stride in (8, 16, 32))
    names = str(dict(enumerate(COCO_LABELS)))
    metadata = {"task": Task.DETECT, "names": names, "license": "Apache-2.0"}
    return builder.model(
        ("images", size.height, size.width), (head, (4 + len(COCO_LABELS), anchors)), metadata
    )


def _normalised(builder: OnnxBuilder) -> str:
    mean, deviation = (np.array(each, np.float64).reshape(3, 1, 1) for each in (_MEAN, _DEVIATION))
    bgr = builder.add("Gather", "images", builder.integers(2, 1, 0), axis=1)
    scaled = builder.add("Mul", bgr, builder.constant((255.0 / deviation).astype(np.float32)))
    return builder.add("Sub", scaled, builder.constant((mean / deviation).astype(np.float32)))


def _decoded(builder: OnnxBuilder, picture: Picture, looked_at: InputSize) -> str:
    """Decodes the output of one stride, [batch, 80 + 44, rows, columns], to [batch, 84, rows · columns]."""
    stride = picture.stride
    flat = builder.add("Reshape", picture.value, builder.integers(0, 0, -1))
    sizes = builder.integers(len(COCO_LABELS), 4 * _DISTANCES)
    classes, sides = builder.add_several("Split", 2, flat, sizes, axis=1)
    likely = builder.add(
        "Softmax", builder.add("Reshape", sides, builder.integers(0, 4, _DISTANCES, -1)), axis=2
    )
    distances = builder.constant(stride * np.arange(_DISTANCES, dtype=np.float32).reshape(-1, 1))
    means = builder.add("ReduceSum", builder.add("Mul", likely, distances), builder.integers(2), keepdims=0)
    to_corner, from_corner = builder.add_several("Split", 2, means, builder.integers(2, 2), axis=1)
    row, column = np.mgrid[: looked_at.height // stride, : looked_at.width // stride]
    centres = (np.stack((column.ravel(), row.ravel())) + 0.5) * stride
    cells = builder.constant(centres.astype(np.float32))
    top_left, bottom_right = builder.add("Sub", cells, to_corner), builder.add("Add", cells, from_corner)
    middle = builder.add("Mul", builder.add("Add", top_left, bottom_right), builder.floats(0.5))
    size = builder.add("Add", to_corner, from_corner)
    return builder.add("Concat", middle, size, builder.add("Sigmoid", classes), axis=1)
