"""A read-only view of an ONNX graph: inputs, outputs, and all nodes, including those of subgraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

_TRITON_TYPES: dict[int, str] = {
    TensorProto.UINT8: "TYPE_UINT8",
    TensorProto.INT8: "TYPE_INT8",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.FLOAT: "TYPE_FP32",
}


class Tensor(NamedTuple):
    """``triton_type`` is the type's name in Triton. ``sizes`` include the batch; ``None`` is dynamic."""

    triton_type: str
    sizes: tuple[int | None, ...]


class Graph:
    """Inputs, outputs, nodes and constants of a model."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        constants = {item.name for item in graph.initializer}
        self.inputs = _tensors(entry for entry in graph.input if entry.name not in constants)
        self.outputs = _tensors(graph.output)
        self.nodes = [node for part in (graph, *model.functions) for node in _nodes(part)]
        self._constants = {item.name: item for item in graph.initializer} | {
            node.output[0]: attribute.t
            for node in self.nodes
            for attribute in node.attribute
            if node.op_type == "Constant" and attribute.name == "value"
        }

    def consumers(self, name: str) -> list[NodeProto]:
        """Returns the nodes that take a tensor as input."""
        return [node for node in self.nodes if name in node.input]

    def constant(self, name: str) -> int | None:
        """Returns the value of a constant integer tensor with one element, else ``None``."""
        if name not in self._constants:
            return None
        value = numpy_helper.to_array(self._constants[name])
        return int(value.item()) if value.size == 1 else None


def _tensors(entries: Iterable[ValueInfoProto]) -> dict[str, Tensor]:
    return {
        entry.name: Tensor(
            _TRITON_TYPES.get(entry.type.tensor_type.elem_type, "of another type"),
            tuple(item.dim_value or None for item in entry.type.tensor_type.shape.dim),
        )
        for entry in entries
    }


def _nodes(graph: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from _nodes(inner)
