"""Reduces the head of an exported model to the values that are read, as nodes of its graph.

A detector's dense head has half a megabyte a frame, of which 7 kB are read. Transferring and searching the
rest would cost the server more than receiving the frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto, helper, shape_inference

from inference.catalogue import CatalogueError
from inference.engines.contract import HeadLayout, ModelInfo, Task
from inference.heads.candidates import MAX_CANDIDATES, MAX_RESULTS
from inference.heads.detections import yolox_cells
from inference.model_metadata import KEY
from mediaserver.models.onnx_builder import OnnxBuilder

_MAX_CLASSES = 2048
"""Classes at most. A class is one number of a row, and half precision holds all integers below this."""


def keep_candidates(model: ModelProto, info: ModelInfo) -> HeadLayout:
    """Reduces the head [n, ...] of a detector, pose or segmentation model; returns its new layout.

    A dense head becomes `HeadLayout.CANDIDATES`. An end-to-end head keeps its best rows. Raises
    `CatalogueError` if a YOLOX head does not match the size of the network.
    """
    classes = 1 if info.task is Task.POSE else len(info.labels)
    if classes > _MAX_CLASSES:
        assert info.layout is not None
        return info.layout
    rows, columns = _sides(model, info)
    builder, head = _at_the_end(model), model.graph.output[0].name
    if info.layout is HeadLayout.END_TO_END:
        turned = builder.add("Transpose", head, perm=(0, 2, 1))
        _keep_best(model, builder, turned, columns, min(rows, MAX_RESULTS))
        return HeadLayout.END_TO_END
    more = 0
    if info.layout is HeadLayout.YOLOX:
        rows, columns = columns, rows
        boxes, scores = _yolox(builder, builder.add("Transpose", head, perm=(0, 2, 1)), info, (rows, columns))
    else:
        boxes, scores = _rows(builder, head, 0, 4), _rows(builder, head, 4, 4 + classes)
        more = rows - 4 - classes
    best = builder.add("ArgMax", scores, axis=1, keepdims=1)
    score = builder.add("GatherElements", scores, best, axis=1)
    rest = [_rows(builder, head, rows - more, rows)] if more else []
    table = builder.add("Concat", boxes, score, _floats(builder, best), *rest, axis=1)
    _keep_best(model, builder, table, 6 + more, min(columns, MAX_CANDIDATES))
    return HeadLayout.CANDIDATES


def keep_best_characters(model: ModelProto) -> HeadLayout:
    """Reduces probabilities [n, steps, characters] to `HeadLayout.CTC_BEST`, and returns that layout."""
    builder, head = _at_the_end(model), model.graph.output[0].name
    byte = builder.constant(np.array(256, np.int64))
    best = builder.add("ArgMax", head, axis=2, keepdims=1)
    high = builder.add("Div", best, byte)
    low = builder.add("Sub", best, builder.add("Mul", high, byte))
    probability = builder.add("GatherElements", head, best, axis=2)
    three = builder.add("Concat", _floats(builder, high), _floats(builder, low), probability, axis=2)
    _replace_output(model, three, ["batch", None, 3])
    return HeadLayout.CTC_BEST


def _yolox(builder: OnnxBuilder, head: str, info: ModelInfo, sides: tuple[int, int]) -> tuple[str, str]:
    """Decodes a head [n, 5 + classes, N] to boxes in network pixels and scores of the classes.

    The formula is that of `inference.heads.detections`.
    """
    assert info.placement is not None
    rows, columns = sides
    cells = yolox_cells(info.placement.width, info.placement.height)
    if len(cells) != columns:
        raise CatalogueError(f"{info.name}: {columns} anchors in a head that should have {len(cells)}")
    offsets, strides = (builder.constant(part.T[np.newaxis].copy()) for part in np.split(cells, [2], axis=1))
    centres = builder.add("Mul", builder.add("Add", _rows(builder, head, 0, 2), offsets), strides)
    sizes = builder.add("Mul", builder.add("Exp", _rows(builder, head, 2, 4)), strides)
    boxes = builder.add("Concat", centres, sizes, axis=1)
    return boxes, builder.add("Mul", _rows(builder, head, 4, 5), _rows(builder, head, 5, rows))


def _keep_best(model: ModelProto, builder: OnnxBuilder, table: str, rows: int, count: int) -> None:
    """Outputs the best ``count`` columns of [n, rows, N] by the scores in row 4, as [n, count, rows]."""
    scores = _rows(builder, table, 4, 5)
    _, order = builder.add_several("TopK", 2, scores, builder.integers(count), axis=2)
    everywhere = builder.add("Expand", order, builder.integers(1, rows, 1))
    best = builder.add("GatherElements", table, everywhere, axis=2)
    _replace_output(model, builder.add("Transpose", best, perm=(0, 2, 1)), ["batch", count, rows])


def _at_the_end(model: ModelProto) -> OnnxBuilder:
    return OnnxBuilder(model.graph, f"{KEY}/head/")


def _rows(builder: OnnxBuilder, tensor: str, start: int, end: int) -> str:
    """Returns rows ``start`` to ``end`` of [n, rows, columns]."""
    return builder.add("Slice", tensor, *(builder.integers(each) for each in (start, end, 1)))


def _floats(builder: OnnxBuilder, tensor: str) -> str:
    """Casts to float32."""
    return builder.add("Cast", tensor, to=TensorProto.FLOAT)


def _replace_output(model: ModelProto, name: str, shape: Sequence[int | str | None]) -> None:
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def _sides(model: ModelProto, info: ModelInfo) -> tuple[int, int]:
    """Returns a and b of the head [n, a, b], inferred for the size of the graph's input."""
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    _, rows, columns = (item.dim_value for item in inferred.graph.output[0].type.tensor_type.shape.dim)
    if not rows or not columns:
        raise CatalogueError(f"{info.name}: the size of its head cannot be told; export it with a fixed size")
    return rows, columns
