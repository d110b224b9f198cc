"""Reads a TensorFlow.js graph model: ``NAME.json`` with the graph, ``NAME.bin`` with the weights.

https://github.com/tensorflow/tfjs: tfjs-converter/docs, ``tfjs-core/src/io/types.ts``.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaserver.errors import ModelError, reading

_STORED = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "bool": "?"}


@dataclass(frozen=True, slots=True)
class Node:
    """An operation. ``inputs`` are names of nodes, without output numbers."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def text(self, attribute: str) -> str:
        """Returns a text attribute; empty if missing."""
        return _decoded(self.attributes.get(attribute, {}).get("s", ""))

    def texts(self, attribute: str) -> tuple[str, ...]:
        """Returns an attribute that is a list of text; empty if missing."""
        return tuple(map(_decoded, self.attributes.get(attribute, {}).get("list", {}).get("s", ())))

    def integers(self, attribute: str) -> tuple[int, ...]:
        """Returns an attribute that is a list of integers; empty if missing."""
        return tuple(map(int, self.attributes.get(attribute, {}).get("list", {}).get("i", ())))

    def number(self, attribute: str, default: float) -> float:
        """Returns a numeric attribute, or ``default`` if missing."""
        return float(self.attributes.get(attribute, {}).get("f", default))

    def flag(self, attribute: str) -> bool:
        """Returns a boolean attribute; false if missing."""
        return bool(self.attributes.get(attribute, {}).get("b", False))


@dataclass(frozen=True, slots=True)
class TfjsGraph:
    """``nodes`` and ``constants`` by name. Constants stored as float16 stay float16."""

    nodes: Mapping[str, Node]
    constants: Mapping[str, NDArray[Any]]

    def constant(self, name: str) -> NDArray[Any] | None:
        """Returns the value of a constant node, also behind Identity nodes; else ``None``."""
        node = self.nodes[name]
        while node.operation == "Identity":
            node = self.nodes[node.inputs[0]]
        return self.constants.get(node.name)


def read_graph(topology: Path, weights: Path) -> TfjsGraph:
    """Reads a graph. Raises `ModelError`, `mediaserver.errors.UnreadableFile`."""
    with reading(topology):
        text = topology.read_bytes()
    with reading(weights):
        data = weights.read_bytes()
    try:
        content = json.loads(text)
        nodes = [_node(item) for item in content["modelTopology"]["node"]]
        entries = [entry for group in content["weightsManifest"] for entry in group["weights"]]
        graph = TfjsGraph({node.name: node for node in nodes}, _constants(entries, data))
        if missing := {name for node in nodes for name in node.inputs} - graph.nodes.keys():
            raise ValueError(f"there is no node {min(missing)}")
        return graph
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise ModelError(f"{topology}: no TensorFlow.js graph model that can be read: {exc!r:.200}") from exc


def _node(item: Mapping[str, Any]) -> Node:
    # "^name" is a control dependency, which only orders execution.
    inputs = [name.partition(":")[0] for name in item.get("input", ()) if not name.startswith("^")]
    return Node(item["name"], item["op"], tuple(inputs), item.get("attr", {}))


def _constants(entries: Sequence[Mapping[str, Any]], data: bytes) -> dict[str, NDArray[Any]]:
    constants, offset = {}, 0
    for entry in entries:
        stored = _STORED[entry.get("quantization", entry)["dtype"]]
        count = math.prod(entry["shape"])
        value = np.frombuffer(data, stored, count, offset)
        constants[entry["name"]] = value.reshape(entry["shape"])
        offset += value.nbytes
    if offset != len(data):
        raise ValueError(f"{len(data)} bytes of weights, where the graph has {offset}")
    return constants


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
