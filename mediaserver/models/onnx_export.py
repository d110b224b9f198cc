"""Exports a YOLO or PP-OCR network in ONNX as a model that takes uint8 frames.

Pre-processing and the choice of the best candidates become part of the graph. The batch becomes dynamic, and
the metadata describes the head.

Needs the package ``onnx``: importing this module without it raises `mediaserver.errors.MissingPackage`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.catalogue import CatalogueError, NetworkFacts, describe
from inference.engines.contract import EngineError, Task
from inference.engines.embedded import EmbeddedEngine
from inference.model_metadata import KEY, to_text
from inference.stages import NETWORKS, FrameNetwork, frame_network
from inference.types import Floats, Image
from mediaserver.errors import MissingPackage, reading, writing
from mediaserver.packages import pip_install, required_by
from mediaserver.paths import temporary_folder

try:
    import onnx
    from onnx import ModelProto, ValueInfoProto, compose, helper, numpy_helper

    from mediaserver.models.onnx_front import picture_input, prepend_preprocessing
    from mediaserver.models.onnx_head import keep_best_characters, keep_candidates
except ModuleNotFoundError as exc:
    command = pip_install(required_by("export"))
    raise MissingPackage(f"this needs the package {exc.name!r}: {command}") from exc

_OLDEST_OPSET = 11
_MULTIPLE = 32
_SURE, _LIKELY = 0.4, 0.25
"""An object that the original finds with the first score or more must reach the second in the export."""
_MAX_BOX_PX = 8.0


def load_network(path: Path, size: tuple[int, int] | None = None) -> ModelProto:
    """Loads a network. Raises `CatalogueError`.

    ``size`` sets width and height in pixels of a network with a dynamic size, rounded up to multiples of 32.
    """
    try:
        model = onnx.load(path)
        opset = next(item.version for item in model.opset_import if item.domain == "")
    except Exception as exc:
        raise CatalogueError(f"{path}: not a readable ONNX file: {str(exc)[:200]}") from exc
    if opset < _OLDEST_OPSET:
        raise CatalogueError(f"{path}: opset {opset} is too old; export it with {_OLDEST_OPSET} or newer")
    if size is not None:
        dimensions = picture_input(model).type.tensor_type.shape.dim
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
    """Adds pre-processing before the network, and the choice of the best candidates after it.

    ``path`` is the file of the network, for messages. Raises `CatalogueError`.
    """
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    if KEY in metadata:
        raise CatalogueError(f"{path}: takes the uint8 frame already")
    facts = NetworkFacts(_shape(picture_input(network)), list(map(_shape, network.graph.output)), metadata)
    info, spec = describe(task, path, facts)
    assert spec is not None, "only a model that was exported needs no pre-processing"
    model: ModelProto = compose.add_prefix(network, "network/")  # a copy, without name clashes
    _free_batch(model)
    network_of = NETWORKS[task]
    prepend_preprocessing(
        model, spec, info.crop_side or network_of.height, info.crop_side or network_of.width
    )
    if task is Task.OCR_REC:
        info = replace(info, layout=keep_best_characters(model))
    elif frame_network(task) is not None:
        info = replace(info, layout=keep_candidates(model, info))
    _rename_outputs(model, network_of.outputs)
    helper.set_model_props(model, metadata | {KEY: to_text(info)})
    return model


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences between an exported model and the original.

    ``objects`` is the number of objects compared. ``box_px`` is the largest difference of boxes in pixels of
    the 320×240 canvas, ``score`` that of scores. Both are zero if pre-processing does not scale. Otherwise
    the scaling of OpenCV and of ONNX round a tenth of the pixels differently, by one level.
    """

    objects: int
    box_px: float
    score: float


async def export(
    path: Path, network: FrameNetwork, size: tuple[int, int] | None, out: Path, picture: Image
) -> Parity:
    """Exports the model in ``path`` to ``out``, and compares it with the original.

    Both run on ``picture`` (uint8 [240, 320, 3] RGB) and its mirror image. The original takes one after the
    other, the export a batch of both. Raises `CatalogueError`, also if the two find different objects, or
    none. Raises `OutputError`, and `UnreadableFile` if the class names cannot be read.
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
    """Returns float32 [n, 6] for each picture: box in canvas pixels, score, class; best first."""
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
        raise CatalogueError(f"{path}: finds nothing on the picture; choose a picture with objects")
    return Parity(objects, box_px, score)


def save(model: ModelProto, path: Path) -> None:
    """Checks a model with the ``onnx`` package, and writes it. Raises `CatalogueError`, `OutputError`."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as exc:
        raise CatalogueError(f"{path}: the exported model is not valid: {str(exc)[:200]}") from exc
    with writing(path):
        onnx.save(model, path)


def _shape(entry: ValueInfoProto) -> list[int | str | None]:
    return [item.dim_value or item.dim_param or None for item in entry.type.tensor_type.shape.dim]


def _free_batch(model: ModelProto) -> None:
    """Makes a batch that is fixed to 1 dynamic.

    Reshapes to a batch of 1 keep the dimension instead, which ONNX writes as 0. Other dependences on the
    batch show in the comparison with the original.
    """
    entry = picture_input(model)
    if entry.type.tensor_type.shape.dim[0].dim_value != 1:
        return
    for item in (entry, *model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    batched, targets = {entry.name}, set()
    for node in model.graph.node:  # ONNX requires topological order
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


def _rename_outputs(model: ModelProto, names: Sequence[str]) -> None:
    """Renames the outputs of the head to ``names``, and removes further outputs."""
    graph = model.graph
    del graph.output[len(names) :]
    for output, name in zip(graph.output, names, strict=True):
        graph.node.append(helper.make_node("Identity", [output.name], [name], f"{KEY}/{name}"))
        output.name = name
        output.type.tensor_type.shape.dim[0].dim_param = "batch"
