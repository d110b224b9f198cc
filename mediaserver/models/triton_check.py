"""Checks a Triton model repository without running it, for faults that Triton or TensorRT would reject.

It also finds settings that make Triton slow. The rules are from NVIDIA's documents and issues. Repositories
by `mediaserver.models.triton_repository` follow them. A repository that was edited, or a network with unusual
operators, may not.

Needs the package ``onnx``: importing this module without it raises `mediaserver.errors.MissingPackage`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import text_format  # type: ignore[import-untyped]
from tritonclient.grpc import model_config_pb2

from inference.catalogue import CatalogueError
from inference.model_metadata import KEY, BadDescription, from_text
from mediaserver.errors import ModelError, reading
from mediaserver.models.onnx_export import load_network
from mediaserver.models.onnx_nodes import Graph

_MAX_TOP_K = 3840
"""TensorRT's limit for the number of values of a TopK."""
_FORBIDDEN = ("NonZero", "NonMaxSuppression")
"""Operators with an output size that is known only after the run; TensorRT cannot plan for it."""
_PROFILE = ("min", "opt", "max")


class Fault(NamedTuple):
    """A rule that a model breaks. ``words`` is the message."""

    model: str
    words: str


def check(directory: Path) -> list[Fault]:
    """Returns the faults of all models in a repository.

    Raises `ModelError` if the repository has no models, `UnreadableFile`.
    """
    with reading(directory):
        configurations = sorted(directory.glob("*/config.pbtxt"))
    if not configurations:
        raise ModelError(f"{directory} is no model repository: it has no */config.pbtxt")
    return [Fault(path.parent.name, words) for path in configurations for words in _faults(path)]


def _faults(path: Path) -> Iterator[str]:
    folder = path.parent
    with reading(path):
        text = path.read_text("utf-8", errors="replace")
    try:
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as exc:
        yield f"Triton cannot read config.pbtxt: {str(exc)[:200]}"
        return
    if config.name and config.name != folder.name:
        yield f"config.pbtxt names the model {config.name!r}, which is not the name of its folder"
    try:
        from_text(config.parameters[KEY].string_value)
    except BadDescription as exc:
        yield f"the parameter {KEY!r} of config.pbtxt cannot be read by the server: {exc}"
    file = next((each for each in (folder / "1/model.onnx", folder / "model.onnx") if each.is_file()), None)
    if file is None:
        yield "has no model.onnx, neither in its folder nor in its version 1"
        return
    try:
        graph = Graph(load_network(file))
    except CatalogueError as exc:
        yield str(exc)
        return
    yield from _misfits(config, graph)
    if (profile := _profile(config, folder)) is not None:
        yield from _not_for_tensorrt(graph)
        yield from _not_covered(config, graph, profile)
        yield from _built_in_service(config)


def _misfits(config: Any, graph: Graph) -> Iterator[str]:
    """Compares the configuration's inputs and outputs with those of the network."""
    for kind, entries, tensors in (
        ("input", config.input, graph.inputs),
        ("output", config.output, graph.outputs),
    ):
        for entry in entries:
            if entry.name not in tensors:
                yield f"config.pbtxt has the {kind} {entry.name!r}, which the network lacks"
                continue
            tensor = tensors[entry.name]
            if model_config_pb2.DataType.Name(entry.data_type) != tensor.triton_type:
                yield f"{kind} {entry.name!r}: the network's is {tensor.triton_type}, config.pbtxt's is not"
            sizes = tensor.sizes[1:] if config.max_batch_size else tensor.sizes
            if not _fits(entry.dims, sizes):
                sides = f"{list(entry.dims)} in config.pbtxt, {list(sizes)} in the network"
                yield f"{kind} {entry.name!r}: is {sides}"
            if config.max_batch_size > 1 and tensor.sizes[:1] not in ((None,), (config.max_batch_size,)):
                yield f"{kind} {entry.name!r}: takes no batches of {config.max_batch_size}"
    for name in sorted(graph.inputs.keys() - {entry.name for entry in config.input}):
        yield f"the network has the input {name!r}, which config.pbtxt lacks"


def _fits(dimensions: Sequence[int], sizes: Sequence[int | None]) -> bool:
    """Whether ``dimensions`` match the network. They must repeat fixed sizes; -1 stands for any size."""
    return len(dimensions) == len(sizes) and all(
        size is None or size == dimension for dimension, size in zip(dimensions, sizes, strict=True)
    )


def _not_for_tensorrt(graph: Graph) -> Iterator[str]:
    for name, tensor in graph.inputs.items():
        if tensor.triton_type == "TYPE_UINT8":
            others = sorted({node.op_type for node in graph.consumers(name)} - {"Cast"})
            if others:
                into = ", ".join(others)
                yield f"the uint8 input {name!r} goes into {into}: TensorRT takes uint8 only in a Cast"
    for operator in sorted({node.op_type for node in graph.nodes}.intersection(_FORBIDDEN)):
        yield f"has the operator {operator}, whose output is of a size that TensorRT cannot plan for"
    for node in graph.nodes:
        if node.op_type == "TopK":
            count = graph.constant(node.input[1])
            if count is None:
                yield f"the TopK {node.name!r} takes a number of values that is no constant"
            elif count > _MAX_TOP_K:
                yield f"the TopK {node.name!r} takes {count} values; TensorRT has {_MAX_TOP_K} at most"


def _profile(config: Any, folder: Path) -> Mapping[str, str] | None:
    """Returns the optimisation profile, by `_PROFILE`; ``None`` if TensorRT does not run the model."""
    arguments = folder / "trtexec.args"
    if config.backend == "tensorrt" or config.platform == "tensorrt_plan":
        with reading(arguments):
            text = arguments.read_text("utf-8", errors="replace") if arguments.is_file() else ""
        return {name: found for name, found in re.findall(r"--(min|opt|max)Shapes=(\S+)", text)}
    parameters = _accelerator(config)
    if parameters is None:
        return None
    keys = {name: f"trt_profile_{name}_shapes" for name in _PROFILE}
    return {name: parameters[key] for name, key in keys.items() if key in parameters}


def _accelerator(config: Any) -> Mapping[str, str] | None:
    """Returns the parameters of TensorRT inside ONNX Runtime; ``None`` if it is not configured."""
    for accelerator in config.optimization.execution_accelerators.gpu_execution_accelerator:
        if accelerator.name == "tensorrt":
            return dict(accelerator.parameters)
    return None


def _not_covered(config: Any, graph: Graph, profile: Mapping[str, str]) -> Iterator[str]:
    """Finds shapes that requests may have and that lie outside the profile.

    For these Triton would build an engine while frames wait, or refuse the request.
    """
    shapes = {name: dict(_shapes(text)) for name, text in profile.items()}
    for entry in config.input:
        tensor = graph.inputs.get(entry.name)
        if tensor is None or None not in tensor.sizes:
            continue
        if any(entry.name not in shapes.get(name, {}) for name in _PROFILE):
            yield f"the input {entry.name!r} has open sizes, and no profile of min, opt and max shapes"
            continue
        least, usual, most = (shapes[name][entry.name] for name in _PROFILE)
        fixed = [None if size == -1 else size for size in entry.dims]
        ranges = [(size, size) for size in fixed]
        if config.max_batch_size:
            ranges.insert(0, (1, config.max_batch_size))
        if not len(least) == len(usual) == len(most) == len(ranges):
            yield f"the profile of {entry.name!r} has another number of sizes than the input"
        elif not all(low <= middle <= high for low, middle, high in zip(least, usual, most, strict=True)):
            yield f"the profile of {entry.name!r} is not in order: min, opt, max"
        else:
            for low, high, (first, last) in zip(least, most, ranges, strict=True):
                if first is not None and last is not None and not (low <= first and last <= high):
                    covered, wanted = f"{low} to {high}", f"{first} to {last}"
                    yield f"the profile of {entry.name!r} covers {covered} where {wanted} may come"


def _shapes(text: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Parses ``a:1x2,b:3x4`` to a and (1, 2), b and (3, 4)."""
    for part in text.split(","):
        name, _, sizes = part.rpartition(":")
        if re.fullmatch(r"\d{1,9}(x\d{1,9})*", sizes):
            yield name, tuple(map(int, sizes.split("x")))


def _built_in_service(config: Any) -> Iterator[str]:
    """Finds settings that make ONNX Runtime build engines at each start, or while frames wait."""
    parameters = _accelerator(config)
    if parameters is not None:
        for what in ("engine", "timing"):
            if parameters.get(f"trt_{what}_cache_enable", "0") not in ("1", "true"):
                yield f"trt_{what}_cache_enable is not set: each start takes minutes to build the engines"
            elif not parameters.get(f"trt_{what}_cache_path", "").startswith("/"):
                yield f"trt_{what}_cache_path names no folder from the root on"
    warm = {each.batch_size for each in config.model_warmup}
    for size in _missing({1, max(1, config.max_batch_size)}, warm):
        yield f"is not warmed up with a batch of {size}: its first one in service would be late"


def _missing(wanted: Iterable[int], there: Iterable[int]) -> list[int]:
    return sorted(set(wanted) - set(there))
