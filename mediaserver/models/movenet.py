"""Converts MoveNet (Google, 2021) from TensorFlow.js to ONNX: for several persons, and for one in a crop.

Both follow CenterNet (Zhou et al., "Objects as Points", 2019). One map gives the centres of persons. Other
maps give the offset of each keypoint from the centre. The keypoint is the highest value of its own map near
that place. The TensorFlow.js graphs take one picture; the ONNX graphs take a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inference.engines.contract import Task
from inference.heads.poses import KEYPOINTS
from mediaserver.models.onnx_builder import OnnxBuilder
from mediaserver.models.tfjs_graph import TfjsGraph
from mediaserver.models.tfjs_network import Picture, TfjsNetwork

if TYPE_CHECKING:
    from onnx import ModelProto

WIDTH, HEIGHT = 320, 256
PERSONS = 6
_MULTIPOSE_SIDE = 256
_STRIDE = 4
_CALL = "StatefulPartitionedCall"
_PEAK_WINDOW = 5
_SAME = 1e-6
_MIN_KEYPOINT = 0.126953125
_SPREAD = 0.300048828125
"""Width of the Gaussian around an expected keypoint, as a share of the shorter side."""
_METADATA = {"license": "Apache-2.0"}


def multipose(graph: TfjsGraph) -> ModelProto:
    """Converts the model for several persons. Raises `mediaserver.errors.ModelError`.

    Input: ``images`` float32 [batch, 3, 256, 320] RGB in 0..1. Output: ``head`` [batch, 6, 57], layout
    `inference.engines.contract.HeadLayout.END_TO_END`. The score of a person is the square root of the
    original's. This keeps the order, and brings scores to the range of other models.
    """
    builder = OnnxBuilder()
    maps = _Maps(builder, WIDTH // _STRIDE, HEIGHT // _STRIDE)
    network = _network(graph, builder, _MULTIPOSE_SIDE)
    centre = builder.add("Sigmoid", network.picture(f"{_CALL}/center_0/conv2d_4/BiasAdd").value)
    scores, at = maps.peaks(centre, PERSONS)
    place = maps.place(at)
    box = _boxes(maps, network, at, place)
    expected = maps.expected(network.picture(f"{_CALL}/kpt_regress_0/conv2d_8/BiasAdd").value, at, place)
    heat = builder.add("Sigmoid", network.picture(f"{_CALL}/kpt_heatmap_0/conv2d_7/BiasAdd").value)
    near = maps.near(heat, expected, box)
    best = builder.add("ArgMax", near, axis=3, keepdims=0)  # [batch, persons, keypoints]
    # The score of a place is the maximum over all persons, as in the original.
    strongest = builder.add("ReduceMax", near, builder.integers(1), keepdims=0)
    keypoint_scores = maps.gathered(strongest, best)
    offsets = network.picture(f"{_CALL}/kpt_offset_0/conv2d_9/BiasAdd").value
    points = maps.moved(best, offsets)
    columns = [
        builder.add("Mul", box, builder.floats(float(_STRIDE))),
        _person_scores(builder, scores, keypoint_scores),
        builder.add("Mul", scores, builder.floats(0.0)),  # the only class
        _triples(builder, builder.add("Mul", points, builder.floats(float(_STRIDE))), keypoint_scores),
    ]
    head = builder.add("Concat", *columns, axis=2)
    shape = (PERSONS, 6 + 3 * KEYPOINTS)
    return builder.model(("images", HEIGHT, WIDTH), (head, shape), _METADATA | {"task": Task.POSE})


def singlepose(graph: TfjsGraph) -> ModelProto:
    """Converts the model for one person. Raises `mediaserver.errors.ModelError`.

    Input: ``images`` float32 [batch, 3, side, side] RGB in 0..1; the side is 256 for Thunder and 192 for
    Lightning. Output: ``head`` [batch, 17, 3]: x, y in 0..1 of the picture, score.
    """
    builder = OnnxBuilder()
    # These weights prefer the person in the middle of the picture.
    weights = graph.constants[f"ConstantFolding/{_CALL}/truediv_2_recip"][np.newaxis, ..., 0]
    side = weights.shape[1]
    maps = _Maps(builder, side, side)
    network = _network(graph, builder, side * _STRIDE)
    centre = builder.add("Sigmoid", network.picture(f"{_CALL}/center_0/conv2d_4/BiasAdd").value)
    centre = builder.add("Mul", centre, builder.constant(weights))
    flat = builder.add("Reshape", centre, builder.integers(0, 1, -1))
    at = builder.add("ArgMax", flat, axis=2, keepdims=1)  # [batch, 1, 1]
    expected = maps.expected(
        network.picture(f"{_CALL}/kpt_regress_0/conv2d_6/BiasAdd").value, at, maps.place(at)
    )
    heat = builder.add("Sigmoid", network.picture(f"{_CALL}/kpt_heatmap_0/conv2d_5/BiasAdd").value)
    softening = builder.constant(graph.constants[f"{_CALL}/add_5/y"])
    softened = builder.add("Add", maps.distances(expected), softening)
    near = builder.add("Div", builder.add("Unsqueeze", heat, builder.integers(1)), softened)
    best = builder.add(
        "ArgMax", builder.add("Reshape", near, builder.integers(0, 0, 0, -1)), axis=3, keepdims=0
    )
    keypoint_scores = maps.gathered(builder.add("Reshape", heat, builder.integers(0, 0, -1)), best)
    points = maps.moved(best, network.picture(f"{_CALL}/kpt_offset_0/conv2d_7/BiasAdd").value)
    triples = _triples(builder, builder.add("Mul", points, builder.floats(1 / side)), keypoint_scores)
    head = builder.add("Reshape", triples, builder.integers(0, KEYPOINTS, 3))
    shape = (KEYPOINTS, 3)
    image = ("images", side * _STRIDE, side * _STRIDE)
    return builder.model(image, (head, shape), _METADATA | {"task": Task.POSE_CROP})


def _network(graph: TfjsGraph, builder: OnnxBuilder, saved_side: int) -> TfjsNetwork:
    network = TfjsNetwork(graph, builder, saved_side)
    # The nodes before it take one uint8 picture and subtract a mean of zero.
    network.give(f"{_CALL}/sub", Picture(builder.add("Mul", "images", builder.floats(255.0))))
    return network


def _boxes(maps: _Maps, network: TfjsNetwork, at: str, place: str) -> str:
    """Returns boxes [batch, persons, 4]: x1, y1, x2, y2 in cells, clipped to the picture."""
    builder = maps.builder
    size = maps.at(network.picture(f"{_CALL}/box_scale_0/conv2d_5/BiasAdd").value, at)
    offset = maps.at(network.picture(f"{_CALL}/box_offset_0/conv2d_6/BiasAdd").value, at)
    half = builder.add("Mul", builder.add("Relu", size), builder.floats(0.5))
    # The maps have y before x.
    centre = builder.add("Add", place, builder.add("Gather", offset, builder.integers(1, 0), axis=2))
    half = builder.add("Gather", half, builder.integers(1, 0), axis=2)
    corners = builder.add(
        "Concat", builder.add("Sub", centre, half), builder.add("Add", centre, half), axis=2
    )
    limits = builder.floats(*(maps.columns, maps.rows) * 2)
    return builder.add("Min", builder.add("Relu", corners), limits)


def _person_scores(builder: OnnxBuilder, centres: str, keypoints: str) -> str:
    """Returns [batch, persons, 1]: √(centre's score · mean score of the visible keypoints)."""
    seen = builder.add("Cast", builder.add("Greater", keypoints, builder.floats(_MIN_KEYPOINT)), to=1)
    total = builder.add("ReduceSum", builder.add("Mul", keypoints, seen), builder.integers(2), keepdims=1)
    count = builder.add("ReduceSum", seen, builder.integers(2), keepdims=1)
    mean = builder.add("Div", total, builder.add("Max", count, builder.floats(1.0)))
    return builder.add("Sqrt", builder.add("Mul", centres, mean))


def _triples(builder: OnnxBuilder, points: str, scores: str) -> str:
    """Joins [batch, persons, 17, 2] x, y and scores [batch, persons, 17] to [batch, persons, 51]."""
    with_scores = builder.add("Concat", points, builder.add("Unsqueeze", scores, builder.integers(3)), axis=3)
    return builder.add("Reshape", with_scores, builder.integers(0, 0, 3 * KEYPOINTS))


@dataclass(frozen=True, slots=True)
class _Maps:
    """Operations on maps [batch, values, rows, columns]. Places are flat indices, or x, y in cells."""

    builder: OnnxBuilder
    columns: int
    rows: int

    def peaks(self, map_: str, count: int) -> tuple[str, str]:
        """Returns the highest local maxima: scores and flat indices, [batch, count, 1] each."""
        builder, around = self.builder, _PEAK_WINDOW // 2
        highest = builder.add(
            "MaxPool", map_, kernel_shape=[_PEAK_WINDOW] * 2, strides=[1, 1], pads=[around] * 4
        )
        below = builder.add("Sub", highest, map_)
        is_peak = builder.add("Cast", builder.add("Less", below, builder.floats(_SAME)), to=1)
        flat = builder.add("Reshape", builder.add("Mul", map_, is_peak), builder.integers(0, -1, 1))
        scores, at = builder.add_several("TopK", 2, flat, builder.integers(count), axis=1)
        return scores, at

    def place(self, at: str) -> str:
        """Converts flat indices [..., 1] to x, y [..., 2], float32."""
        builder, columns = self.builder, self.builder.integers(self.columns)
        x, y = builder.add("Mod", at, columns), builder.add("Div", at, columns)
        return builder.add("Cast", builder.add("Concat", x, y, axis=-1), to=1)

    def at(self, map_: str, at: str) -> str:
        """Returns the values of a map at flat indices [batch, n, 1]: [batch, n, values]."""
        builder = self.builder
        cells = builder.add("Reshape", map_, builder.integers(0, 0, -1))
        cells = builder.add("Transpose", cells, perm=[0, 2, 1])
        # GatherND takes whole rows, for each item of the batch its own.
        return builder.add("GatherND", cells, at, batch_dims=1)

    def expected(self, map_: str, at: str, place: str) -> str:
        """Returns the expected places of the keypoints of persons at ``at``: [batch, n, 17, 2] x, y."""
        builder = self.builder
        shifts = builder.add("Reshape", self.at(map_, at), builder.integers(0, 0, KEYPOINTS, 2))
        shifts = builder.add("Gather", shifts, builder.integers(1, 0), axis=3)
        return builder.add("Add", shifts, builder.add("Unsqueeze", place, builder.integers(2)))

    def squared_distances(self, points: str) -> tuple[str, str]:
        """Returns squared distances of points [batch, n, 17, 2] from each column and from each row.

        Shapes: [batch, n, 17, columns] and [batch, n, 17, rows].
        """
        builder = self.builder
        x, y = builder.add_several("Split", 2, points, builder.integers(1, 1), axis=3)
        apart = (builder.add("Sub", each, axis) for each, axis in zip((x, y), self._axes(), strict=True))
        across, down = (builder.add("Mul", each, each) for each in apart)
        return across, down

    def distances(self, points: str) -> str:
        """Returns distances of points [batch, n, 17, 2] from each cell: [batch, n, 17, rows, columns]."""
        squared = self._crossed("Add", *self.squared_distances(points))
        return self.builder.add("Sqrt", squared)

    def near(self, heat: str, points: str, boxes: str) -> str:
        """Weights a keypoint map by nearness to the expected place, and masks it by the person's box.

        Returns [batch, persons, 17, cells]. Weights are products of a column's and a row's, which costs less.
        """
        builder = self.builder
        spread = builder.floats(-min(self.rows, self.columns) * _SPREAD)
        left, top, right, bottom = builder.add_several(
            "Split", 4, boxes, builder.integers(1, 1, 1, 1), axis=2
        )
        weights = []
        for squared, axis, first, last in zip(
            self.squared_distances(points), self._axes(), (left, top), (right, bottom), strict=True
        ):
            close = builder.add("Exp", builder.add("Div", squared, spread))
            inside = builder.add(
                "And", builder.add("GreaterOrEqual", axis, first), builder.add("Less", axis, last)
            )
            mask = builder.add("Unsqueeze", builder.add("Cast", inside, to=1), builder.integers(2))
            weights.append(builder.add("Mul", close, mask))
        both = self._crossed("Mul", *weights)
        near = builder.add("Mul", builder.add("Unsqueeze", heat, builder.integers(1)), both)
        return builder.add("Reshape", near, builder.integers(0, 0, 0, -1))

    def _crossed(self, operation: str, across: str, down: str) -> str:
        """Combines [batch, n, 17, columns] and [batch, n, 17, rows] to [batch, n, 17, rows, columns]."""
        builder = self.builder
        return builder.add(
            operation,
            builder.add("Unsqueeze", across, builder.integers(3)),
            builder.add("Unsqueeze", down, builder.integers(4)),
        )

    def _axes(self) -> tuple[str, str]:
        """Returns x of the columns and y of the rows."""
        columns, rows = (np.arange(size, dtype=np.float32) for size in (self.columns, self.rows))
        return self.builder.constant(columns), self.builder.constant(rows)

    def gathered(self, flat: str, best: str) -> str:
        """Returns values of flat maps [batch, 17, cells] at indices [batch, n, 17], each from its own map."""
        builder = self.builder
        own = builder.add("Transpose", best, perm=[0, 2, 1])
        return builder.add("Transpose", builder.add("GatherElements", flat, own, axis=2), perm=[0, 2, 1])

    def moved(self, best: str, offsets: str) -> str:
        """Converts flat indices [batch, n, 17] to x, y in cells [..., 2], plus each keypoint's offset."""
        builder = self.builder
        maps = builder.add("Reshape", offsets, builder.integers(0, KEYPOINTS, 2, -1))
        y, x = (builder.add("Gather", maps, builder.constant(np.array(index)), axis=2) for index in (0, 1))
        last = builder.integers(3)
        shifts = [builder.add("Unsqueeze", self.gathered(each, best), last) for each in (x, y)]
        place = self.place(builder.add("Unsqueeze", best, last))
        return builder.add("Add", place, builder.add("Concat", *shifts, axis=3))
