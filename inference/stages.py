"""The stages of the pipeline: one entry each, from which the rest of the code is derived.

A new stage needs an entry here and a value of `Stage`. It needs a field of its name in `PipelineOptions`, the
server's settings and ``PipelineConfig`` on the wire. If a model runs it, it also needs a value of `Task` and
a decoder in `inference.heads`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.engines.contract import Head, HeadLayout, ModelInfo, Task
from inference.heads import detections, poses, segments
from inference.heads.candidates import Shape
from inference.heads.found import Found
from inference.types import FRAME_HEIGHT, FRAME_WIDTH


class Stage(StrEnum):
    """A stage that a client can switch on and off. The values are names on the wire and in the settings."""

    DETECT = "detect"
    POSE = "pose"
    SEGMENT = "segment"
    OCR = "ocr"
    FLOW = "flow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model that a stage runs.

    ``height`` and ``width`` in pixels are those of its pictures, ``None`` for any size or a size of each
    model. ``trial`` is the height and width of the picture for a trial run. ``None`` stands for the size of
    the model itself, see `trial_size`. ``outputs`` names the outputs in order; in model files of others the
    first outputs are taken, under any name.
    """

    task: Task
    height: int | None = None
    width: int | None = None
    trial: tuple[int, int] | None = None
    outputs: tuple[str, ...] = ("head",)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameNetwork(Network):
    """A model that takes the whole 320×240 canvas and finds objects with boxes, as YOLO does.

    ``identify`` and ``decode`` are functions of its module in `inference.heads`. ``results`` is its field of
    `PipelineResult`. ``label`` is the label of all its objects, ``None`` if the model has labels of its own.
    ``files`` is a pattern of file names. ``preferred`` lists names that are chosen first.
    """

    height: int | None = FRAME_HEIGHT
    width: int | None = FRAME_WIDTH
    trial: tuple[int, int] | None = (FRAME_HEIGHT, FRAME_WIDTH)
    identify: Callable[[Sequence[Shape], Mapping[str, str]], tuple[HeadLayout, int | None]]
    decode: Callable[[Head, ModelInfo, float], Found]
    results: str
    label: str | None = None
    files: str
    preferred: tuple[str, ...]

    def labels(self, found: Found, info: ModelInfo) -> list[str]:
        """Returns the label of each object. Raises `IndexError` for a class without a label."""
        return [self.label or info.labels[index] for index in found.classes]


@dataclass(frozen=True, slots=True, kw_only=True)
class CropNetwork(Network):
    """A model that takes square crops of the canvas, each around a detected person.

    The side of the crops is `ModelInfo.crop_side`. ``files`` and ``preferred`` are as in `FrameNetwork`.
    """

    files: str
    preferred: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """The models that a stage needs, or the ``method`` of a stage without models.

    ``top_down`` replaces ``networks`` if that model and a detector are loaded.
    """

    networks: tuple[Network, ...] = ()
    method: str = ""
    top_down: CropNetwork | None = None


CROP_SIDES = range(64, 513)
"""Accepted sides of crops, in pixels. The bound limits the cost of a crowd."""

TOP_DOWN = CropNetwork(
    task=Task.POSE_CROP,
    files="*topdown*.onnx",
    preferred=("movenet_thunder_topdown", "movenet_lightning_topdown"),
)

STAGES: Mapping[Stage, StageEntry] = {
    Stage.DETECT: StageEntry(
        networks=(
            FrameNetwork(
                task=Task.DETECT,
                identify=detections.identify,
                decode=detections.decode,
                results="detections",
                files="*.onnx",
                preferred=(
                    *("yolo11s", "yolox_s", "yolo_coco_n", "yolo11n", "yolov8n"),
                    *("yolox_nano_dyn", "yolox_tiny", "yolox_nano"),
                    *("nanodet_g", "nanodet_g_512x384", "nanodet_g_320x256"),
                ),
            ),
        )
    ),
    Stage.POSE: StageEntry(
        networks=(
            FrameNetwork(
                task=Task.POSE,
                identify=poses.identify,
                decode=poses.decode,
                results="poses",
                label=poses.PERSON,
                files="*pose*.onnx",
                preferred=("yolo11n_pose", "yolo11n-pose", "yolov8n-pose", "movenet_multipose"),
            ),
        ),
        top_down=TOP_DOWN,
    ),
    Stage.SEGMENT: StageEntry(
        networks=(
            FrameNetwork(
                task=Task.SEGMENT,
                outputs=("head", "prototypes"),
                identify=segments.identify,
                decode=segments.decode,
                results="segments",
                files="*seg*.onnx",
                preferred=("yolo11s-seg", "yolo11n-seg", "yolov8n-seg"),
            ),
        )
    ),
    Stage.OCR: StageEntry(
        networks=(
            Network(task=Task.OCR_DET, trial=(64, 64)),
            Network(task=Task.OCR_REC, height=48, trial=(48, 64)),
        )
    ),
    Stage.FLOW: StageEntry(method="Farneback"),
}

NETWORKS: Mapping[Task, Network] = {
    network.task: network
    for entry in STAGES.values()
    for network in (*entry.networks, entry.top_down)
    if network is not None
}

FRAME_NETWORKS: Mapping[Stage, FrameNetwork] = {
    stage: network
    for stage, entry in STAGES.items()
    for network in entry.networks
    if isinstance(network, FrameNetwork)
}
"""Networks in the order of tracking. Objects of a later stage take the ids of an earlier stage."""


def frame_network(task: Task) -> FrameNetwork | None:
    """Returns the network of ``task`` if it takes the whole canvas, else ``None``."""
    network = NETWORKS[task]
    return network if isinstance(network, FrameNetwork) else None


def trial_size(info: ModelInfo) -> tuple[int, int]:
    """Height and width in pixels of the picture for a model's trial run."""
    trial = NETWORKS[info.task].trial
    if trial is None:
        assert info.crop_side is not None, "what is no model of crops has a trial"
        return info.crop_side, info.crop_side
    return trial


def is_ocr(task: Task) -> bool:
    """Whether ``task`` belongs to OCR."""
    return NETWORKS[task] in STAGES[Stage.OCR].networks


def networks_of(stage: Stage, models: Mapping[Task, object]) -> tuple[Network, ...] | None:
    """Returns the networks that would run ``stage``, or ``None`` if ``models`` lacks one of them."""
    entry = STAGES[stage]
    if entry.top_down is not None and {entry.top_down.task, Task.DETECT} <= models.keys():
        return (entry.top_down,)
    return entry.networks if all(network.task in models for network in entry.networks) else None
