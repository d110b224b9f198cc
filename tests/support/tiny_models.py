"""Small real networks, so that everything runs without any downloaded weights.

They find blobs of saturated colour and give each a box that is exact to the pixel: the detector finds
``red`` and ``blue``, the pose model takes a green blob for a person, the segmentation model outlines all
three. The picture is cut into cells of 16 × 16 pixels; a cell's score says how much of it has the colour, and
its box spans all of that colour in a window of 11 × 11 cells around it. So every cell of a blob of up to 80
pixels gives the same box, as the neighbours in a trained network do, and non-maximum suppression has real
work. Blobs of one colour that are closer together than that are taken for one.

The heads come in each layout of `inference.engines.contract.HeadLayout`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper, parser
from onnx.helper import set_model_props

from inference.engines.contract import HeadLayout
from inference.heads.segments import PROTOTYPES

WIDTH, HEIGHT = 320, 256
LABELS = ("red", "blue")
SEGMENT_LABELS = ("red", "blue", "person")
DETECTOR, POSE_MODEL, SEGMENT_MODEL = "colour_blobs", "colour_blobs_pose", "colour_blobs_seg"

KEYPOINTS = np.array(
    [
        *((0.50, 0.14), (0.55, 0.12), (0.45, 0.12), (0.62, 0.13), (0.38, 0.13)),  # nose, eyes, ears
        *((0.68, 0.29), (0.32, 0.29), (0.84, 0.21), (0.18, 0.42), (0.92, 0.06), (0.08, 0.55)),  # arms
        *((0.60, 0.57), (0.40, 0.57), (0.63, 0.76), (0.36, 0.76), (0.66, 0.95), (0.33, 0.95)),  # legs
    ],
    np.float32,
)
"""[17, 2]: where each keypoint lies in the box of its person, who waves; x and y in 0..1."""

_STRIDE = 16
_COLUMNS, _ROWS = WIDTH // _STRIDE, HEIGHT // _STRIDE
_CELLS = _COLUMNS * _ROWS
_COLOURS = {"red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1)}
_GAIN = 1.6
"""A red of (220, 30, 30) gets a strength of 1; what is below half of that is no red."""

# C colours. edges holds, for each pixel of a colour, its distances from the picture's four sides: the
# greatest ones of a window are the sides of the box.
_BACKBONE = """
    colour = Conv(images, weights)
    strength = Clip(colour, zero, one)
    coloured = Greater(strength, half)
    mask = Cast<to = 1>(coloured)
    seen = Mul(mask, strength)
    pooled = AveragePool<kernel_shape = [16, 16], strides = [16, 16]>(seen)
    scores = Reshape(pooled, shape_scores)
    mask5 = Unsqueeze(mask, axis_two)
    edges5 = Mul(mask5, distances)
    edges = Reshape(edges5, shape_edges)
    cell_edges = MaxPool<kernel_shape = [16, 16], strides = [16, 16]>(edges)
    window_edges = MaxPool<kernel_shape = [11, 11], strides = [1, 1], pads = [5, 5, 5, 5]>(cell_edges)
    colour_edges = Reshape(window_edges, shape_colour_edges)
    best = ReduceMax<keepdims = 1>(scores, axis_one)
    is_best = Equal(scores, best)
    chosen = Cast<to = 1>(is_best)
    chosen4 = Unsqueeze(chosen, axis_two)
    chosen_edges = Mul(colour_edges, chosen4)
    cell_box = ReduceMax<keepdims = 0>(chosen_edges, axis_one)
    right, from_right, bottom, from_bottom = Split<axis = 1, num_outputs = 4>(cell_box)
    left = Sub(width, from_right)
    top = Sub(height, from_bottom)
    w0 = Sub(right, left)
    h0 = Sub(bottom, top)
    w = Relu(w0)
    h = Relu(h0)
    x0 = Mul(w, half)
    y0 = Mul(h, half)
    cx = Add(left, x0)
    cy = Add(top, y0)
"""

_KEYPOINTS = """
    offset_x = Mul(w, keypoint_x)
    offset_y = Mul(h, keypoint_y)
    kx0 = Add(left, offset_x)
    ky0 = Add(top, offset_y)
    kx = Unsqueeze(kx0, axis_two)
    ky = Unsqueeze(ky0, axis_two)
    ones = Mul(keypoint_x, zero)
    visible0 = Add(best, ones)
    visible = Unsqueeze(visible0, axis_two)
    triples = Concat<axis = 2>(kx, ky, visible)
    keypoints = Reshape(triples, shape_keypoints)
"""

_ULTRALYTICS = "head = Concat<axis = 1>(cx, cy, w, h, scores)"
_ULTRALYTICS_POSE = "head = Concat<axis = 1>(cx, cy, w, h, best, keypoints)"

# One row for each colour: its best cell. For a person the keypoints follow.
_BEST_CELLS = """
    best_scores, best_cells = TopK<axis = 2>(scores, one_cell)
    score_row = Transpose<perm = [0, 2, 1]>(best_scores)
    cell_row = Transpose<perm = [0, 2, 1]>(best_cells)
    zero_row = Mul(score_row, zero)
    class_row = Add(zero_row, classes)
    corners = Concat<axis = 1>(left, top, right, bottom)
    corner_cells = Expand(cell_row, four_rows)
    best_corners = GatherElements<axis = 2>(corners, corner_cells)
"""
_END_TO_END = (
    _BEST_CELLS
    + """
    columns = Concat<axis = 1>(best_corners, score_row, class_row)
    head = Transpose<perm = [0, 2, 1]>(columns)
"""
)
_END_TO_END_POSE = (
    _BEST_CELLS
    + """
    keypoint_cells = Expand(cell_row, keypoint_rows)
    best_keypoints = GatherElements<axis = 2>(keypoints, keypoint_cells)
    columns = Concat<axis = 1>(best_corners, score_row, class_row, best_keypoints)
    head = Transpose<perm = [0, 2, 1]>(columns)
"""
)

# Prototypes are the masks of the colours, above zero where there is more than half of it; a cell's
# coefficients choose the mask of its colour.
_MASKS = """
    small_masks = AveragePool<kernel_shape = [4, 4], strides = [4, 4]>(mask)
    signed_masks = Sub(small_masks, half)
    prototypes = Pad(signed_masks, other_prototypes)
    coefficients = Pad(chosen, other_coefficients)
"""
_ULTRALYTICS_SEGMENT = "head = Concat<axis = 1>(cx, cy, w, h, scores, coefficients)"
_END_TO_END_SEGMENT = (
    _BEST_CELLS
    + """
    coefficient_cells = Expand(cell_row, coefficient_rows)
    best_coefficients = GatherElements<axis = 2>(coefficients, coefficient_cells)
    columns = Concat<axis = 1>(best_corners, score_row, class_row, best_coefficients)
    head = Transpose<perm = [0, 2, 1]>(columns)
"""
)

# Only the middle one of the three scales ever has an object.
_YOLOX = """
    w1 = Max(w, one)
    h1 = Max(h, one)
    cells_x = Div(cx, stride)
    cells_y = Div(cy, stride)
    cells_w = Div(w1, stride)
    cells_h = Div(h1, stride)
    dx = Sub(cells_x, grid_x)
    dy = Sub(cells_y, grid_y)
    log_w = Log(cells_w)
    log_h = Log(cells_h)
    zeros = Mul(w, zero)
    objectness = Add(zeros, one)
    columns = Concat<axis = 1>(dx, dy, log_w, log_h, objectness, scores)
    scale = Transpose<perm = [0, 2, 1]>(columns)
    head = Pad(scale, other_scales)
"""


def tiny_detector(layout: HeadLayout = HeadLayout.ULTRALYTICS_DETECT, batch: int | None = None) -> ModelProto:
    """Finds red and blue; ``batch`` None takes any number of pictures. The YOLOX variant has no metadata."""
    nodes, rows, columns = {
        HeadLayout.ULTRALYTICS_DETECT: (_ULTRALYTICS, 4 + 2, _CELLS),
        HeadLayout.END_TO_END: (_END_TO_END, 2, 6),
        HeadLayout.YOLOX: (_YOLOX, _CELLS * 4 + _CELLS + _CELLS // 4, 5 + 2),
    }[layout]
    yolox = layout is HeadLayout.YOLOX
    model = _network(_BACKBONE + nodes, (batch, rows, columns), LABELS, bgr=yolox)
    if not yolox:
        set_model_props(model, {"task": "detect", "names": str(dict(enumerate(LABELS)))})
    return model


def tiny_pose(layout: HeadLayout = HeadLayout.ULTRALYTICS_POSE, batch: int | None = None) -> ModelProto:
    """Takes a green blob for a person with `KEYPOINTS`."""
    nodes, rows, columns = {
        HeadLayout.ULTRALYTICS_POSE: (_ULTRALYTICS_POSE, 56, _CELLS),
        HeadLayout.END_TO_END: (_END_TO_END_POSE, 1, 57),
    }[layout]
    model = _network(_BACKBONE + _KEYPOINTS + nodes, (batch, rows, columns), ("green",), bgr=False)
    set_model_props(model, {"task": "pose", "names": "{0: 'person'}", "kpt_shape": "[17, 3]"})
    return model


def tiny_segmentation(
    layout: HeadLayout = HeadLayout.ULTRALYTICS_SEGMENT, batch: int | None = None
) -> ModelProto:
    """Outlines red, blue and green, which it calls a person."""
    nodes, rows, columns = {
        HeadLayout.ULTRALYTICS_SEGMENT: (_ULTRALYTICS_SEGMENT, 4 + 3 + PROTOTYPES, _CELLS),
        HeadLayout.END_TO_END: (_END_TO_END_SEGMENT, 3, 6 + PROTOTYPES),
    }[layout]
    colours = ("red", "blue", "green")
    model = _network(_BACKBONE + _MASKS + nodes, (batch, rows, columns), colours, bgr=False, masks=True)
    set_model_props(model, {"task": "segment", "names": str(dict(enumerate(SEGMENT_LABELS)))})
    return model


_CROP = """
    colour = Conv(images, weights)
    coloured = Greater(colour, half)
    mask = Cast<to = 1>(coloured)
    edges = Mul(mask, distances)
    ends = ReduceMax<keepdims = 0>(edges, axes_of_pixels)
    right, from_right, bottom, from_bottom = Split<axis = 1, num_outputs = 4>(ends)
    left = Sub(side, from_right)
    top = Sub(side, from_bottom)
    w = Sub(right, left)
    h = Sub(bottom, top)
    across = Mul(w, keypoint_x)
    down = Mul(h, keypoint_y)
    x0 = Add(left, across)
    y0 = Add(top, down)
    x1 = Div(x0, side)
    y1 = Div(y0, side)
    x = Unsqueeze(x1, axis_two)
    y = Unsqueeze(y1, axis_two)
    strongest = ReduceMax<keepdims = 0>(mask, axes_of_pixels)
    ones = Mul(keypoint_x, zero)
    scores = Add(strongest, ones)
    score = Unsqueeze(scores, axis_two)
    head = Concat<axis = 2>(x, y, score)
"""


def tiny_crop_pose(side: int = 256) -> ModelProto:
    """Takes what is green in a crop for a person with `KEYPOINTS`, whose score is 1."""
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    constants = {
        "weights": np.array([_COLOURS["green"]]).reshape(1, 3, 1, 1) * _GAIN,
        "distances": np.stack((x + 1, side - x, y + 1, side - y)),
        "half": 0.5,
        "zero": 0.0,
        "side": side,
        "keypoint_x": KEYPOINTS[np.newaxis, :, 0],
        "keypoint_y": KEYPOINTS[np.newaxis, :, 1],
    }
    model = parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]>
        crop (float[N, 3, {side}, {side}] images) => (float[N, 17, 3] head) {{ {_CROP} }}"""
    )
    arrays = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    arrays |= {"axes_of_pixels": np.array([2, 3]), "axis_two": np.array([2])}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in arrays.items())
    onnx.checker.check_model(model, full_check=True)
    return model


def tiny_person_detector() -> ModelProto:
    """Finds red things and green persons."""
    model = _network(_BACKBONE + _ULTRALYTICS, (None, 4 + 2, _CELLS), ("red", "green"), bgr=False)
    set_model_props(model, {"task": "detect", "names": "{0: 'red', 1: 'person'}"})
    return model


def write_top_down_models(directory: Path, side: int = 256) -> Path:
    """Writes a detector of persons, and a model that finds their poses in crops; returns ``directory``."""
    onnx.save(tiny_person_detector(), directory / f"{DETECTOR}.onnx")
    onnx.save(tiny_crop_pose(side), directory / "colour_blobs_topdown.onnx")
    return directory


def write_tiny_models(directory: Path) -> Path:
    """Writes a model of each kind, which `inference.catalogue` finds; returns ``directory``."""
    onnx.save(tiny_detector(), directory / f"{DETECTOR}.onnx")
    onnx.save(tiny_pose(), directory / f"{POSE_MODEL}.onnx")
    onnx.save(tiny_segmentation(), directory / f"{SEGMENT_MODEL}.onnx")
    return directory


def _network(
    nodes: str,
    output: tuple[int | None, int, int],
    colours: tuple[str, ...],
    *,
    bgr: bool,
    masks: bool = False,
) -> ModelProto:
    batch = "N" if output[0] is None else str(output[0])
    prototypes = f", float[{batch}, {PROTOTYPES}, {HEIGHT // 4}, {WIDTH // 4}] prototypes" if masks else ""
    model = parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : 18]>
        colour_blobs (float[{batch}, 3, {HEIGHT}, {WIDTH}] images)
            => (float[{batch}, {output[1]}, {output[2]}] head{prototypes}) {{ {nodes} }}"""
    )
    for name, value in _constants(colours, bgr=bgr).items():
        if f"{name})" in nodes or f"{name}," in nodes:
            model.graph.initializer.append(numpy_helper.from_array(value, name))
    onnx.checker.check_model(model, full_check=True)
    return model


def _constants(colours: tuple[str, ...], *, bgr: bool) -> dict[str, np.ndarray]:
    count = len(colours)
    weights = np.array([_COLOURS[colour] for colour in colours], np.float32) * _GAIN
    if bgr:
        weights = weights[:, ::-1] / 255
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    column, row = np.meshgrid(np.arange(_COLUMNS), np.arange(_ROWS))
    floats = {
        "weights": weights[:, :, np.newaxis, np.newaxis],
        "distances": np.stack((x + 1, WIDTH - x, y + 1, HEIGHT - y)),
        "zero": 0.0,
        "half": 0.5,
        "one": 1.0,
        "width": WIDTH,
        "height": HEIGHT,
        "stride": _STRIDE,
        "classes": np.arange(count)[np.newaxis, np.newaxis],
        "keypoint_x": KEYPOINTS[np.newaxis, :, :1],
        "keypoint_y": KEYPOINTS[np.newaxis, :, 1:],
        "grid_x": column.reshape(1, 1, -1),
        "grid_y": row.reshape(1, 1, -1),
    }
    integers = {
        "axis_one": [1],
        "axis_two": [2],
        "shape_scores": [0, count, _CELLS],
        "shape_edges": [0, 4 * count, HEIGHT, WIDTH],
        "shape_colour_edges": [0, count, 4, _CELLS],
        "shape_keypoints": [0, 3 * len(KEYPOINTS), _CELLS],
        "one_cell": [1],
        "four_rows": [1, 4, 1],
        "coefficient_rows": [1, PROTOTYPES, 1],
        "other_prototypes": [0, 0, 0, 0, 0, PROTOTYPES - count, 0, 0],
        "other_coefficients": [0, 0, 0, 0, PROTOTYPES - count, 0],
        "keypoint_rows": [1, 3 * len(KEYPOINTS), 1],
        "other_scales": [0, _CELLS * 4, 0, 0, _CELLS // 4, 0],
    }
    constants = {name: np.asarray(value, np.float32) for name, value in floats.items()}
    return constants | {name: np.array(value, np.int64) for name, value in integers.items()}
