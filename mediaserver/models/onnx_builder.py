"""Builds or extends an ONNX graph, one operation after the other.

Needs the package ``onnx``: importing this module without it raises `mediaserver.errors.MissingPackage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaserver.errors import MissingPackage
from mediaserver.packages import pip_install, required_by

try:
    from onnx import GraphProto, ModelProto, TensorProto, checker, helper, numpy_helper
except ModuleNotFoundError as exc:
    command = pip_install(required_by("export"))
    raise MissingPackage(f"this needs the package {exc.name!r}: {command}") from exc

_OPSET = 18
_IR_VERSION = 9
"""Version that ONNX Runtime 1.17 and TensorRT 10 can read."""


class OnnxBuilder:
    """Adds operations to ``graph``, or to a new graph. Values are names that begin with ``prefix``."""

    def __init__(self, graph: GraphProto | None = None, prefix: str = "") -> None:
        self._graph = GraphProto(name="network") if graph is None else graph
        self._prefix = prefix
        self._constants: dict[tuple[bytes, tuple[int, ...], str], str] = {}

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Adds an operation with one output, and returns its name."""
        return self.add_several(operation, 1, *inputs, **attributes)[0]

    def add_several(self, operation: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Adds an operation with ``count`` outputs, and returns their names."""
        name = f"{self._prefix}{operation}_{len(self._graph.node)}"
        outputs = [name] if count == 1 else [f"{name}.{index}" for index in range(count)]
        self._graph.node.append(helper.make_node(operation, inputs, outputs, name, **attributes))
        return outputs

    def constant(self, value: NDArray[Any]) -> str:
        """Returns the name of a constant. float16 is stored as such, and cast to float32 in the graph."""
        key = (value.tobytes(), value.shape, value.dtype.str)
        if key not in self._constants:
            name = f"{self._prefix}constant_{len(self._constants)}"
            self._graph.initializer.append(numpy_helper.from_array(value.copy(order="C"), name))
            half = value.dtype == np.float16
            self._constants[key] = self.add("Cast", name, to=TensorProto.FLOAT) if half else name
        return self._constants[key]

    def floats(self, *values: float) -> str:
        """Returns a float32 constant: a scalar for one value, else with one axis."""
        return self.constant(np.array(values[0] if len(values) == 1 else values, np.float32))

    def integers(self, *values: int) -> str:
        """Returns an int64 constant with one axis."""
        return self.constant(np.array(values, np.int64))

    def model(
        self,
        image: tuple[str, int, int],
        head: tuple[str, Sequence[int]],
        metadata: Mapping[str, str],
    ) -> ModelProto:
        """Completes the model, and checks it.

        ``image`` gives name, height and width of the input, float32 [batch, 3, height, width]. ``head`` gives
        the value of the output and its shape without the batch axis. The output is named ``head``.
        """
        name, height, width = image
        value, shape = head
        self._graph.node.append(helper.make_node("Identity", [value], ["head"], "head"))
        for entries, entry, sides in (
            (self._graph.input, name, (3, height, width)),
            (self._graph.output, "head", shape),
        ):
            entries.append(helper.make_tensor_value_info(entry, TensorProto.FLOAT, ["batch", *sides]))
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(self._graph, opset_imports=opsets, ir_version=_IR_VERSION)
        helper.set_model_props(model, dict(metadata))
        checker.check_model(model)
        return model
