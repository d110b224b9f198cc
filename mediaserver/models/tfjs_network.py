"""Converts the convolutional part of a TensorFlow.js graph to ONNX.

TensorFlow's pictures are [batch, height, width, channels], those of ONNX [batch, channels, height, width].
Here all pictures have the layout of ONNX, with a note of the layout in the original graph. So the
transpositions around convolutions disappear. The input may have another size than in the saved graph, as
sizes in the graph are converted to scales.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mediaserver.errors import ModelError
from mediaserver.models.onnx_builder import OnnxBuilder
from mediaserver.models.tfjs_graph import Node, TfjsGraph

_TO_CHANNELS_LAST, _TO_CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_ARITHMETIC = {"Add": "Add", "AddV2": "Add", "Sub": "Sub", "Mul": "Mul"}
_ACTIVATIONS = {"Relu": "Relu", "Relu6": "Clip", "Sigmoid": "Sigmoid"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A value of the ONNX graph, float32 [batch, channels, height, width].

    ``stride`` is the number of input pixels per pixel. ``channels_last`` is the layout in the original graph.
    """

    value: str
    stride: int = 1
    channels_last: bool = True


class TfjsNetwork:
    """Converts a node and its inputs, each node once.

    ``input_side`` is the side in pixels of the square input of the saved graph.
    """

    def __init__(self, graph: TfjsGraph, builder: OnnxBuilder, input_side: int) -> None:
        self._graph = graph
        self._builder = builder
        self._input_side = input_side
        self._pictures: dict[str, Picture] = {}

    def give(self, name: str, picture: Picture) -> None:
        """Sets ``picture`` as the value of a node, which is then not converted: the graph's input."""
        self._pictures[name] = picture

    def picture(self, name: str) -> Picture:
        """Converts a node. Raises `ModelError` for an operation that is not supported."""
        waiting = [name]
        while waiting:
            node = self._graph.nodes[waiting[-1]]
            missing = [each for each in self._pictures_of(node) if each not in self._pictures]
            if node.name in self._pictures or not missing:
                waiting.pop()
                if node.name not in self._pictures:
                    self._pictures[node.name] = self._convert(node)
            else:
                waiting += missing
        return self._pictures[name]

    def _pictures_of(self, node: Node) -> list[str]:
        """Returns the inputs that are pictures: neither constants nor the target size of a resize."""
        inputs = node.inputs[:1] if node.operation == "ResizeBilinear" else node.inputs
        return [name for name in inputs if self._graph.constant(name) is None]

    def _convert(self, node: Node) -> Picture:
        convert = _CONVERSIONS.get(node.operation)
        if convert is None:
            raise ModelError(f"the operation {node.operation} of {node.name} is not supported")
        return convert(self, node)

    def _same(self, node: Node) -> Picture:
        return self._pictures[node.inputs[0]]

    def _leaky_relu(self, node: Node) -> Picture:
        picture = self._pictures[node.inputs[0]]
        alpha = node.number("alpha", 0.2)
        return replace(picture, value=self._builder.add("LeakyRelu", picture.value, alpha=alpha))

    def _convolution(self, node: Node) -> Picture:
        picture = self._last(node)
        weights = self._graph.constant(node.inputs[1])
        assert weights is not None, "trained weights are constant"
        height, width, channels, outputs = weights.shape
        groups = 1
        if "epthwise" in node.operation:
            groups, weights = channels, weights.reshape(height, width, 1, channels * outputs)
        stride = node.integers("strides")[1]
        inputs = [picture.value, self._builder.constant(weights.transpose(3, 2, 0, 1))]
        fused = node.texts("fused_ops")
        if "BiasAdd" in fused:
            bias = self._graph.constant(node.inputs[2])
            assert bias is not None, "trained biases are constant"
            inputs.append(self._builder.constant(bias.reshape(-1)))
        pads = _same_padding(height, width, stride) if node.text("padding") == "SAME" else [0, 0, 0, 0]
        value = self._builder.add(
            "Conv", *inputs, kernel_shape=[height, width], strides=[stride, stride], pads=pads, group=groups
        )
        for activation in fused:
            if activation != "BiasAdd":
                value = self._activation(activation, value)
        return Picture(value, picture.stride * stride)

    def _activation(self, name: str, value: str) -> str:
        if name not in _ACTIVATIONS:
            raise ModelError(f"the activation {name} is not supported")
        bounds = [self._builder.floats(0.0), self._builder.floats(6.0)] if name == "Relu6" else []
        return self._builder.add(_ACTIVATIONS[name], value, *bounds)

    def _arithmetic(self, node: Node) -> Picture:
        like = next(self._pictures[name] for name in node.inputs if name in self._pictures)
        values = []
        for name in node.inputs:
            if name in self._pictures:
                values.append(self._pictures[name].value)
                continue
            constant = self._graph.constant(name)
            assert constant is not None, "what is no picture is constant"
            if constant.ndim and like.channels_last:
                constant = constant.reshape(-1, 1, 1)  # one for each channel
            values.append(self._builder.constant(constant))
        return replace(like, value=self._builder.add(_ARITHMETIC[node.operation], *values))

    def _transposed(self, node: Node) -> Picture:
        picture = self._pictures[node.inputs[0]]
        order = self._numbers(node, 1)
        if order != (_TO_CHANNELS_FIRST if picture.channels_last else _TO_CHANNELS_LAST):
            raise ModelError(f"the transposition {node.name} does not move channels")
        return replace(picture, channels_last=not picture.channels_last)

    def _padded(self, node: Node) -> Picture:
        picture = self._pictures[node.inputs[0]]
        axes = np.array(self._numbers(node, 1)).reshape(4, 2)
        if picture.channels_last:
            axes = axes[_TO_CHANNELS_FIRST]
        inputs = [picture.value, self._builder.integers(*axes.T.ravel().tolist())]
        if node.operation == "PadV2":
            value = self._graph.constant(node.inputs[2])
            assert value is not None, "padding is constant"
            inputs.append(self._builder.constant(value.astype(np.float32)))
        return replace(picture, value=self._builder.add("Pad", *inputs))

    def _max_pool(self, node: Node) -> Picture:
        picture = self._last(node)
        (height, width), stride = node.integers("ksize")[1:3], node.integers("strides")[1]
        pads = _same_padding(height, width, stride) if node.text("padding") == "SAME" else [0, 0, 0, 0]
        value = self._builder.add(
            "MaxPool", picture.value, kernel_shape=[height, width], strides=[stride, stride], pads=pads
        )
        return Picture(value, picture.stride * stride)

    def _concatenated(self, node: Node) -> Picture:
        pictures = [self._pictures[name] for name in node.inputs[:-1]]
        axis = self._numbers(node, -1)[0]
        if axis % 4 != (3 if pictures[0].channels_last else 1):
            raise ModelError(f"{node.name} concatenates an axis other than channels")
        value = self._builder.add("Concat", *(picture.value for picture in pictures), axis=1)
        return replace(pictures[0], value=value)

    def _resized(self, node: Node) -> Picture:
        picture = self._last(node)
        if not node.flag("half_pixel_centers"):
            raise ModelError(f"{node.name} resizes without half_pixel_centers, which is not supported")
        size = self._graph.constant(node.inputs[1])
        if size is not None:
            stride = self._input_side // int(size.ravel()[0])
        else:  # a multiple of its size
            stride = picture.stride // self._numbers(self._graph.nodes[node.inputs[1]], 1)[0]
        factor = picture.stride / stride
        scales = self._builder.floats(1.0, 1.0, factor, factor)
        value = self._builder.add(
            *("Resize", picture.value, "", scales),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        return Picture(value, stride)

    def _last(self, node: Node) -> Picture:
        picture = self._pictures[node.inputs[0]]
        if not picture.channels_last:
            raise ModelError(f"{node.name} has an input with channels first")
        return picture

    def _numbers(self, node: Node, index: int) -> list[int]:
        value = self._graph.constant(node.inputs[index])
        if value is None:
            raise ModelError(f"{node.name} has no constant where one is expected")
        return [int(item) for item in value.ravel()]


_CONVERSIONS: dict[str, Callable[[TfjsNetwork, Node], Picture]] = {
    "Conv2D": TfjsNetwork._convolution,
    "_FusedConv2D": TfjsNetwork._convolution,
    "DepthwiseConv2dNative": TfjsNetwork._convolution,
    "FusedDepthwiseConv2dNative": TfjsNetwork._convolution,
    **dict.fromkeys(_ARITHMETIC, TfjsNetwork._arithmetic),
    "LeakyRelu": TfjsNetwork._leaky_relu,
    "Identity": TfjsNetwork._same,
    "Transpose": TfjsNetwork._transposed,
    "Pad": TfjsNetwork._padded,
    "PadV2": TfjsNetwork._padded,
    "MaxPool": TfjsNetwork._max_pool,
    "ConcatV2": TfjsNetwork._concatenated,
    "ResizeBilinear": TfjsNetwork._resized,
}


def _same_padding(height: int, width: int, stride: int) -> list[int]:
    """Returns TensorFlow's SAME padding as ONNX ``pads``, for sides that are multiples of the stride."""
    down, across = max(height - stride, 0), max(width - stride, 0)
    return [down // 2, across // 2, down - down // 2, across - across // 2]
