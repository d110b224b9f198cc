"""What the server can find: one entry a stage, from which all else that depends on it is derived.

Another stage is another entry here, another value of `Stage` (and of `Task`, where a model runs it), and a
file in `inference.heads` that reads it. `PipelineOptions`, the server's settings and ``PipelineConfig`` on
the wire each have a field of its name.
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
    """What a client can switch on and off; also its name on the wire and in the settings."""

    DETECT = "detect"
    POSE = "pose"
    SEGMENT = "segment"
    OCR = "ocr"
    FLOW = "flow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model that a stage runs.

    ``height`` and ``width`` are those of its pictures, ``None`` where it takes any; ``trial`` is the height
    and width of the picture that it is tried with. ``outputs`` are the names of its outputs; a network made
    by others gives them as its first ones, under any name.
    """

    task: Task
    height: int | None = None
    width: int | None = None
    trial: tuple[int, int]
    outputs: tuple[str, ...] = ("head",)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameNetwork(Network):
    """A model that looks at the whole 320×240 frame and finds things, each with a box, as YOLO does.

    ``identify`` and ``decode`` are those of its file in `inference.heads`. ``results`` is its field of
    `PipelineResult`. ``label`` is what all that it finds is called; ``None`` where the model has labels.
    ``files`` is a pattern for its files' names, ``preferred`` are the names that are looked for first.
    """

    height: int | None = FRAME_HEIGHT
    width: int | None = FRAME_WIDTH
    trial: tuple[int, int] = (FRAME_HEIGHT, FRAME_WIDTH)
    identify: Callable[[Sequence[Shape], Mapping[str, str]], tuple[HeadLayout, int | None]]
    decode: Callable[[Head, ModelInfo, float], Found]
    results: str
    label: str | None = None
    files: str
    preferred: tuple[str, ...]

    def labels(self, found: Found, info: ModelInfo) -> list[str]:
        """What each of the things found is called. Raises `IndexError` for a class without a label."""
        return [self.label or info.labels[index] for index in found.classes]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """The models that a stage needs; ``method`` is what runs it where it needs none."""

    networks: tuple[Network, ...] = ()
    method: str = ""


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
                preferred=("yolo11n_pose", "yolo11n-pose", "yolov8n-pose"),
            ),
        )
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
    network.task: network for entry in STAGES.values() for network in entry.networks
}

FRAME_NETWORKS: Mapping[Stage, FrameNetwork] = {
    stage: network
    for stage, entry in STAGES.items()
    for network in entry.networks
    if isinstance(network, FrameNetwork)
}
"""In the order in which the tracker takes what they find: what comes first lends its ids to the others."""


def frame_network(task: Task) -> FrameNetwork | None:
    """The model as one that looks at the whole frame; ``None`` for those of OCR."""
    network = NETWORKS[task]
    return network if isinstance(network, FrameNetwork) else None
