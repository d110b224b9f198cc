"""From any YOLO or PP-OCR network as ONNX to a model that takes the uint8 frame: pre-processing becomes part
of the graph, the batch dynamic, and the metadata says how to read the head.

Needs the package ``onnx``, which only this work does: importing this module without it raises
`mediaserver.errors.MissingPackage`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.catalogue import CatalogueError, NetworkFacts, describe
from inference.engines.contract import EngineError, HeadLayout, Task
from inference.engines.embedded import EmbeddedEngine
from inference.model_metadata import INPUT, KEY, to_text
from inference.preprocess import PADDING, InputSpec
from inference.stages import NETWORKS, FrameNetwork, Network
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats, Image
from mediaserver.errors import MissingPackage, reading, writing
from mediaserver.paths import temporary_folder

try:
    import onnx
    from onnx import ModelProto, TensorProto, ValueInfoProto, compose, helper, numpy_helper
except ModuleNotFoundError as exc:
    raise MissingPackage(f"this needs the package {exc.name!r}: pip install 'mediaserver[export]'") from exc

_OLDEST_OPSET = 11
_MULTIPLE = 32
_SURE, _LIKELY = 0.4, 0.25
"""An object that the original finds with the one score must be found again with the other at least."""
_MAX_BOX_PX = 8.0


def load_network(path: Path, size: tuple[int, int] | None = None) -> ModelProto:
    """The network in a file; ``size`` is the picture's width and height that it shall work on, made
    multiples of 32, for a network that leaves it open. Raises `CatalogueError`."""
    try:
        model = onnx.load(path)
        opset = next(item.version for item in model.opset_import if item.domain == "")
    except Exception as exc:
        raise CatalogueError(f"{path}: not a readable ONNX file: {str(exc)[:200]}") from exc
    if opset < _OLDEST_OPSET:
        raise CatalogueError(f"{path}: opset {opset} is too old; export it with {_OLDEST_OPSET} or newer")
    if size is not None:
        dimensions = _input(model).type.tensor_type.shape.dim
        for index, length in ((2, size[1]), (3, size[0])):
            wanted = -(-length // _MULTIPLE) * _MULTIPLE
            if dimensions[index].dim_value not in (0, wanted):
                raise CatalogueError(
                    f"{path}: made for {dimensions[3].dim_value}×{dimensions[2].dim_value}, "
                    f"it cannot work on {size[0]}×{size[1]}"
                )
            dimensions[index].dim_value = wanted
        del model.graph.value_info[:]
    return model


def with_preprocessing(network: ModelProto, path: Path, task: Task) -> ModelProto:
    """The network behind the pre-processing that it needs; ``path`` is where it came from.

    Raises `CatalogueError`.
    """
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    if KEY in metadata:
        raise CatalogueError(f"{path}: takes the uint8 frame already")
    facts = NetworkFacts(_shape(_input(network)), list(map(_shape, network.graph.output)), metadata)
    info, spec = describe(task, path, facts)
    assert spec is not None, "only a model that was exported needs no pre-processing"
    model: ModelProto = compose.add_prefix(network, "network/")  # a copy, whose names are none of ours
    _free_batch(model)
    _prepend(model, spec, NETWORKS[task])
    if task is Task.OCR_REC:
        _append_best(model)
        info = replace(info, layout=HeadLayout.CTC_BEST)
    _rename_outputs(model, NETWORKS[task].outputs)
    helper.set_model_props(model, metadata | {KEY: to_text(info)})
    return model


@dataclass(frozen=True, slots=True)
class Parity:
    """How near an exported model comes to the original: objects compared, and the greatest difference of
    their boxes in pixels of the 320×240 frame and of their scores. All zero where nothing is scaled;
    else OpenCV's and ONNX's scaling round a tenth of the pixels differently, by one level."""

    objects: int
    box_px: float
    score: float


async def export(
    path: Path, network: FrameNetwork, size: tuple[int, int] | None, out: Path, picture: Image
) -> Parity:
    """Writes the model in ``path`` to ``out`` with its pre-processing inside, and compares the two on
    ``picture`` (uint8 [240, 320, 3] RGB) and its mirror image: the original one by one, the other as a batch.

    Raises `CatalogueError`, also when the two find different things, or nothing at all; `OutputError`,
    `UnreadableFile` where its class names cannot be read.
    """
    model = load_network(path, size)
    pictures = np.stack((picture, picture[:, ::-1]))
    with temporary_folder("export") as folder:
        original, exported = folder / path.name, folder / "exported.onnx"
        with writing(original):
            onnx.save(model, original)
        labels = path.with_suffix(".labels.txt")
        with reading(labels):
            if labels.is_file():
                shutil.copy(labels, folder)
        save(with_preprocessing(model, path, network.task), exported)
        expected = await _finds(original, network, [pictures[:1], pictures[1:]])
        parity = _compare(path, expected, await _finds(exported, network, [pictures]))
        with writing(out):
            shutil.copy(exported, out)
    return parity


async def _finds(path: Path, network: FrameNetwork, batches: list[NDArray[np.uint8]]) -> list[Floats]:
    """For each picture float32 [n, 6]: box in pixels of the frame, score, class; best first."""
    engine = await EmbeddedEngine.open({network.task: path})
    try:
        heads = [
            item
            for pictures in batches
            for item in zip(*await engine.infer(network.task, pictures), strict=True)
        ]
    except EngineError as exc:
        raise CatalogueError(f"{path.name}: {exc}") from exc
    finally:
        await engine.close()
    finds = [network.decode(head, engine.models[network.task], _LIKELY) for head in heads]
    return [
        np.concatenate((found.boxes, found.scores[:, None], found.classes[:, None]), axis=1, dtype=np.float32)
        for found in finds
    ]


def _compare(path: Path, expected: list[Floats], found: list[Floats]) -> Parity:
    objects, box_px, score = 0, 0.0, 0.0
    for wanted, others in zip(expected, found, strict=True):
        for item in wanted[wanted[:, 4] >= _SURE]:
            same = others[others[:, 5] == item[5]]
            distances = np.abs(same[:, :4] - item[:4]).max(axis=1, initial=0)
            nearest = int(distances.argmin()) if len(same) else None
            if nearest is None or distances[nearest] > _MAX_BOX_PX:
                raise CatalogueError(f"{path}: the exported model does not find what the original finds")
            objects += 1
            box_px = max(box_px, float(distances[nearest]))
            score = max(score, abs(float(same[nearest, 4] - item[4])))
    if not objects:
        raise CatalogueError(f"{path}: finds nothing on that picture; compare on one that shows something")
    return Parity(objects, box_px, score)


def save(model: ModelProto, path: Path) -> None:
    """Writes a model, after the ``onnx`` package's own check. Raises `CatalogueError`, `OutputError`."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as exc:
        raise CatalogueError(f"{path}: the exported model is not valid: {str(exc)[:200]}") from exc
    with writing(path):
        onnx.save(model, path)


def _input(model: ModelProto) -> ValueInfoProto:
    """The picture. Before IR version 4 initializers are listed as inputs too."""
    constants = {item.name for item in model.graph.initializer}
    entry: ValueInfoProto = next(entry for entry in model.graph.input if entry.name not in constants)
    return entry


def _shape(entry: ValueInfoProto) -> list[int | str | None]:
    return [item.dim_value or item.dim_param or None for item in entry.type.tensor_type.shape.dim]


def _free_batch(model: ModelProto) -> None:
    """Opens a batch that is fixed to 1. Reshapes that name it copy it instead (ONNX: 0 keeps a dimension);
    whatever else depends on it shows in the comparison with the original."""
    entry = _input(model)
    if entry.type.tensor_type.shape.dim[0].dim_value != 1:
        return
    for item in (entry, *model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    batched, targets = {entry.name}, set()
    for node in model.graph.node:  # in order: ONNX wants them sorted
        if batched.intersection(node.input):
            batched.update(node.output)
            if node.op_type == "Reshape":
                targets.add(node.input[1])
    tensors = [item for item in model.graph.initializer if item.name in targets]
    tensors += [
        node.attribute[0].t
        for node in model.graph.node
        if node.op_type == "Constant" and node.output[0] in targets
    ]
    for tensor in tensors:
        shape = numpy_helper.to_array(tensor).copy()
        if shape.size > 1 and shape[0] == 1:
            shape[0] = 0
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))


def _prepend(model: ModelProto, spec: InputSpec, network: Network) -> None:
    """uint8 [n, height, width, 3] RGB → what `inference.preprocess.to_tensor` makes of it."""
    graph, entry = model.graph, _input(model)
    steps: list[tuple[str, tuple[NDArray[Any], ...], dict[str, Any]]] = [
        ("Transpose", (), {"perm": (0, 3, 1, 2)}),
        ("Cast", (), {"to": TensorProto.FLOAT}),
    ]
    if (place := spec.placement) is not None:
        width, height = round(FRAME_WIDTH * place.scale), round(FRAME_HEIGHT * place.scale)
        if (width, height) != (FRAME_WIDTH, FRAME_HEIGHT):
            # The size is rounded down: a hundredth of a pixel keeps it from losing a whole one.
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
    nodes, value = [], INPUT
    for number, (operator, constants, attributes) in enumerate(steps):
        names = [f"{KEY}/{number}/{index}" for index in range(len(constants))]
        graph.initializer.extend(map(numpy_helper.from_array, constants, names))
        result = entry.name if number == len(steps) - 1 else f"{KEY}/{number}"
        nodes.append(helper.make_node(operator, [value, *names], [result], result, **attributes))
        value = result
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *kept])
    dimensions = ["batch", network.height, network.width, 3]
    entry.CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, dimensions))


def _append_best(model: ModelProto) -> None:
    """Probabilities [n, steps, characters] → `HeadLayout.CTC_BEST`. Float32 holds every index exactly."""
    head = model.graph.output[0]
    names = [f"{KEY}/{name}" for name in ("best", "index", "probability", "pair")]
    best, index, probability, pair = names
    model.graph.node.extend(
        [
            helper.make_node("ArgMax", [head.name], [best], axis=2, keepdims=1),
            helper.make_node("Cast", [best], [index], to=TensorProto.FLOAT),
            helper.make_node("GatherElements", [head.name, best], [probability], axis=2),
            helper.make_node("Concat", [index, probability], [pair], axis=2),
        ]
    )
    head.CopyFrom(helper.make_tensor_value_info(pair, TensorProto.FLOAT, ["batch", None, 2]))


def _rename_outputs(model: ModelProto, names: Sequence[str]) -> None:
    """Only the head goes out, and under its own names. Networks may have more outputs than it."""
    graph = model.graph
    del graph.output[len(names) :]
    for output, name in zip(graph.output, names, strict=True):
        graph.node.append(helper.make_node("Identity", [output.name], [name], f"{KEY}/{name}"))
        output.name = name
        output.type.tensor_type.shape.dim[0].dim_param = "batch"
