"""Graphs of a few operations, whose results are worked out here."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from mediaserver.errors import ModelError, UnreadableFile
from mediaserver.models.onnx_builder import OnnxBuilder
from mediaserver.models.tfjs_graph import TfjsGraph, read_graph
from mediaserver.models.tfjs_network import Picture, TfjsNetwork

SIDE = 8
RANDOM = np.random.default_rng(7)


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def integers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


def texts(*values: str) -> dict[str, Any]:
    return {"list": {"s": [text(value)["s"] for value in values]}}


def saved(
    folder: Path, nodes: list[tuple[str, str, list[str], dict[str, Any]]], constants: Mapping[str, Any]
) -> tuple[Path, Path]:
    """A graph model as TensorFlow.js writes it; float constants as float16."""
    topology, weights, entries, data = folder / "model.json", folder / "model.bin", [], b""
    for name, constant in constants.items():
        value = np.asarray(constant)
        kind = "int32" if value.dtype.kind == "i" else "float32"
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": kind}
        if kind == "float32":
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        entries.append(entry)
        data += value.astype("<i4" if kind == "int32" else "<f2").tobytes()
    listed: list[dict[str, Any]] = [{"name": "input", "op": "Placeholder"}]
    listed += [{"name": name, "op": "Const"} for name in constants]
    listed += [{"name": name, "op": op, "input": ins, "attr": attr} for name, op, ins, attr in nodes]
    content = {
        "modelTopology": {"node": listed},
        "weightsManifest": [{"paths": ["model.bin"], "weights": entries}],
    }
    topology.write_text(json.dumps(content))
    weights.write_bytes(data)
    return topology, weights


def run(
    graph: TfjsGraph, output: str, picture: NDArray[np.float32], *, last: bool = True
) -> NDArray[np.float32]:
    """The value of a node for pictures float32 [n, 3, 8, 8]."""
    builder = OnnxBuilder()
    network = TfjsNetwork(graph, builder, SIDE)
    network.give("input", Picture("images", channels_last=last))
    model = builder.model(("images", SIDE, SIDE), (network.picture(output).value, (None, None, None)), {})  # type: ignore[arg-type]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": picture})[0])


@pytest.fixture
def pictures() -> NDArray[np.float32]:
    return RANDOM.random((2, 3, SIDE, SIDE), np.float32)


def halves(*shape: int) -> NDArray[np.float32]:
    """Random numbers that float16 holds exactly."""
    return RANDOM.normal(size=shape).astype(np.float16).astype(np.float32)


def convolved(
    pictures: NDArray[np.float32], weights: NDArray[np.float32], stride: int
) -> NDArray[np.float32]:
    """A 3×3 convolution with TensorFlow's padding SAME; weights [3, 3, channels, outputs]."""
    before = (3 - stride) // 2
    padded = np.pad(pictures, ((0, 0), (0, 0), (before, 3 - stride - before), (before, 3 - stride - before)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwij,ijco->nohw", windows, weights)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_fused_convolution_pads_as_tensorflow_does(
    tmp_path: Path, pictures: NDArray[np.float32], stride: int
) -> None:
    weights, bias = halves(3, 3, 3, 4), halves(4)
    attributes = {
        "padding": text("SAME"),
        "strides": integers(1, stride, stride, 1),
        "fused_ops": texts("BiasAdd", "Relu6"),
    }
    node = ("output", "_FusedConv2D", ["input", "weights", "bias"], attributes)
    graph = read_graph(*saved(tmp_path, [node], {"weights": weights, "bias": bias}))
    expected = (convolved(pictures, weights, stride) + bias[:, None, None]).clip(0, 6)
    np.testing.assert_allclose(run(graph, "output", pictures), expected, atol=1e-5)


def test_a_depthwise_convolution_keeps_channels_apart(tmp_path: Path, pictures: NDArray[np.float32]) -> None:
    weights = halves(3, 3, 3, 1)
    attributes = {"padding": text("SAME"), "strides": integers(1, 1, 1, 1)}
    node = ("output", "DepthwiseConv2dNative", ["input", "weights"], attributes)
    graph = read_graph(*saved(tmp_path, [node], {"weights": weights}))
    expected = [
        convolved(pictures[:, channel, None], weights[:, :, channel, None], 1) for channel in range(3)
    ]
    np.testing.assert_allclose(run(graph, "output", pictures), np.concatenate(expected, axis=1), atol=1e-5)


def test_transpositions_around_convolutions_are_none_in_the_end(
    tmp_path: Path, pictures: NDArray[np.float32]
) -> None:
    """A graph with channels first, as a converter from PyTorch leaves it."""
    weights, bias = halves(3, 3, 3, 3), halves(3)
    nodes = [
        ("padded", "Pad", ["input", "around"], {}),
        ("last", "Transpose", ["padded", "to_last"], {}),
        ("conv", "Conv2D", ["last", "weights"], {"padding": text("VALID"), "strides": integers(1, 1, 1, 1)}),
        ("biased", "AddV2", ["conv", "bias"], {}),
        ("first", "Transpose", ["biased", "to_first"], {}),
        ("leaky", "LeakyRelu", ["first"], {"alpha": {"f": 0.1}}),
        ("output", "ConcatV2", ["leaky", "input", "axis"], {}),
    ]
    constants = {
        "around": np.array([[0, 0], [0, 0], [1, 1], [1, 1]]),
        "to_last": np.array([0, 2, 3, 1]),
        "to_first": np.array([0, 3, 1, 2]),
        "axis": np.array(1),
        "weights": weights,
        "bias": bias,
    }
    graph = read_graph(*saved(tmp_path, nodes, constants))
    value = convolved(pictures, weights, 1) + bias[:, None, None]
    expected = np.concatenate((np.where(value > 0, value, 0.1 * value), pictures), axis=1)
    np.testing.assert_allclose(run(graph, "output", pictures, last=False), expected, atol=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_a_resize_is_relative_to_the_input(
    tmp_path: Path, pictures: NDArray[np.float32], known: bool
) -> None:
    """To a size that was saved, or to twice what it is; either doubles a picture of any size."""
    nodes = [
        ("small", "MaxPool", ["input"], {"ksize": integers(1, 2, 2, 1), "strides": integers(1, 2, 2, 1)}),
        ("shape", "Shape", ["small"], {}),
        ("double", "Mul", ["shape", "two"], {}),
        (
            "output",
            "ResizeBilinear",
            ["small", "size" if known else "double"],
            {"half_pixel_centers": {"b": True}},
        ),
    ]
    graph = read_graph(*saved(tmp_path, nodes, {"size": np.array([SIDE, SIDE]), "two": np.array([2, 2])}))
    result = run(graph, "output", pictures)
    small = pictures.reshape(2, 3, 4, 2, 4, 2).max(axis=(3, 5))
    assert result.shape == pictures.shape
    np.testing.assert_allclose(result[..., 0, 0], small[..., 0, 0], atol=1e-6)
    np.testing.assert_allclose(
        result[..., 1, 1],
        np.einsum("ncij,i,j->nc", small[..., :2, :2], [0.75, 0.25], [0.75, 0.25]),
        atol=1e-6,
    )


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    graph = read_graph(*saved(tmp_path, [("odd", "FFT2D", ["input"], {})], {}))
    network = TfjsNetwork(graph, OnnxBuilder(), SIDE)
    network.give("input", Picture("images"))
    with pytest.raises(ModelError, match="the operation FFT2D of odd is not supported"):
        network.picture("odd")


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    topology, weights = saved(tmp_path, [], {"weights": halves(2, 2)})
    weights.write_bytes(weights.read_bytes() + b"more")
    with pytest.raises(ModelError, match="12 bytes of weights, where the graph has 8"):
        read_graph(topology, weights)
    topology.write_text("{}")
    with pytest.raises(ModelError, match="no TensorFlow"):
        read_graph(topology, weights)
    with pytest.raises(UnreadableFile, match="cannot read"):
        read_graph(tmp_path / "nothing.json", weights)
