"""Writes a Triton model repository: every model and flavour from the one description in this file.

One folder a model, named by its task. Each takes ``frames`` (uint8, NHWC) and gives the outputs of its
`inference.stages.Network` (float32); pre-processing is inside the model, and its `ModelInfo` is in the
configuration's parameters.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from inference.engines.contract import Task
from inference.model_metadata import INPUT, KEY
from inference.stages import NETWORKS, frame_network
from inference.types import FRAME_HEIGHT, FRAME_WIDTH
from mediaserver.errors import writing
from mediaserver.models.onnx_export import load_network, save, with_preprocessing
from mediaserver.paths import triton_files

if TYPE_CHECKING:
    from onnx import ModelProto


class Flavour(StrEnum):
    """What runs the models inside Triton."""

    CPU = "cpu"
    """ONNX Runtime in Triton's Python backend, on the processor."""
    ONNX = "onnx"
    """Triton's ONNX Runtime backend on the GPU: TensorRT for what looks at the whole frame, CUDA for OCR."""
    TENSORRT = "tensorrt"
    """Plans, which triton/build_plans.sh builds in NVIDIA's image for the very GPU that they will run on."""


@dataclass(frozen=True, slots=True)
class _Serving:
    """How Triton runs one model.

    Requests of all sessions that wait together make one batch: of a preferred size where there are
    enough, else of what has come once the oldest waited ``queue_delay_us``. No size is preferred for OCR,
    whose frames differ in size and are few, and on a processor, for which a batch is no cheaper than its
    frames.

    ``instances`` run side by side. With a single one Triton (2.51) leaves about one in a hundred of the
    requests that come right after the answer to another waiting for half a second; with two none was seen.
    """

    max_batch: int
    preferred: tuple[int, ...]
    queue_delay_us: int
    instances: int
    smallest: tuple[int, int]
    usual: tuple[int, int]
    largest: tuple[int, int]
    """Height and width of frames; what a TensorRT plan is built for, and ``usual`` warms the model up."""


_FRAME = (FRAME_HEIGHT, FRAME_WIDTH)
_FRAME_SERVING = _Serving(16, (4, 8), 1000, 2, _FRAME, _FRAME, _FRAME)
_OCR_SERVING = {
    Task.OCR_DET: _Serving(4, (), 0, 1, (32, 32), (480, 640), (640, 640)),
    Task.OCR_REC: _Serving(8, (), 0, 1, (48, 32), (48, 320), (48, 1280)),
}

_MAX_QUEUE = 64
"""A request beyond it is rejected at once: a later frame is worth more than an answer that is late."""

_BACKENDS = {
    Flavour.CPU: ("python", "model.py"),
    Flavour.ONNX: ("onnxruntime", "model.onnx"),
    Flavour.TENSORRT: ("tensorrt", "model.plan"),
}

# Each request brings its own timeout, and is rejected when that is over. There is no default one: with it
# Triton (until the middle of 2026) loses count of idle instances when it merges requests, and a model gets
# slower for good (triton-inference-server/server#8870).
_CONFIG = """\
name: "{name}"
backend: "{backend}"
default_model_filename: "{file}"
max_batch_size: {max_batch}
version_policy {{ latest {{ num_versions: 1 }} }}
input {{ name: "{input}" data_type: TYPE_UINT8 dims: {frame} }}
{outputs}
instance_group {{ count: {instances} kind: {kind} }}
dynamic_batching {{
  preferred_batch_size: {preferred}
  max_queue_delay_microseconds: {queue_delay_us}
  default_queue_policy {{
    timeout_action: REJECT
    allow_timeout_override: true
    max_queue_size: {max_queue}
  }}
}}
model_warmup {{
  name: "blank"
  batch_size: 1
  inputs {{ key: "{input}" value {{ data_type: TYPE_UINT8 dims: {warm_up} zero_data: true }} }}
}}
parameters {{ key: "{key}" value {{ string_value: {description} }} }}
"""

_OUTPUT = 'output {{ name: "{name}" data_type: TYPE_FP32 dims: {dimensions} }}'

_TENSORRT_ACCELERATOR = """\
optimization {
  execution_accelerators {
    gpu_execution_accelerator { name: "tensorrt" parameters { key: "precision_mode" value: "FP16" } }
  }
}
"""


def write_repository(directory: Path, files: Mapping[Task, Path], flavour: Flavour) -> None:
    """Writes a folder for each of ``files`` (networks, as `inference.catalogue.find_models` finds them).

    For `Flavour.TENSORRT` the plans are still missing: each folder holds the network and, in
    ``trtexec.args``, what to build it for. Raises `CatalogueError`, `OutputError`.
    """
    for task, path in files.items():
        model = with_preprocessing(load_network(path), path, task)
        with writing(directory):
            _write_model(directory / task, task, model, flavour)


def _write_model(folder: Path, task: Task, model: ModelProto, flavour: Flavour) -> None:
    version = folder / "1"
    version.mkdir(parents=True, exist_ok=True)
    save(model, (folder if flavour is Flavour.TENSORRT else version) / "model.onnx")
    (folder / "config.pbtxt").write_text(_config(task, model, flavour), "utf-8")
    if flavour is Flavour.CPU:
        shutil.copy(triton_files() / "python_backend" / "model.py", version)
    if flavour is Flavour.TENSORRT:
        (folder / "trtexec.args").write_text(_plan_shapes(task), "utf-8")


def _config(task: Task, model: ModelProto, flavour: Flavour) -> str:
    serving = _serving(task)
    backend, file = _BACKENDS[flavour]
    on_gpu = flavour is not Flavour.CPU
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    outputs = [
        _OUTPUT.format(
            name=output.name,
            dimensions=[item.dim_value or -1 for item in output.type.tensor_type.shape.dim[1:]],
        )
        for output in model.graph.output
    ]
    network = NETWORKS[task]
    text = _CONFIG.format(
        name=task,
        backend=backend,
        file=file,
        max_batch=serving.max_batch,
        input=INPUT,
        outputs="\n".join(outputs),
        frame=[network.height or -1, network.width or -1, 3],
        instances=serving.instances,
        kind="KIND_GPU" if on_gpu else "KIND_CPU",
        preferred=list(serving.preferred) if on_gpu else [],
        queue_delay_us=serving.queue_delay_us,
        max_queue=_MAX_QUEUE,
        warm_up=[*serving.usual, 3],
        key=KEY,
        # JSON escapes as protobuf's text format does, and the description is ASCII.
        description=json.dumps(metadata[KEY]),
    )
    if flavour is Flavour.ONNX and serving is _FRAME_SERVING:
        text += _TENSORRT_ACCELERATOR
    return text


def _serving(task: Task) -> _Serving:
    return _FRAME_SERVING if frame_network(task) is not None else _OCR_SERVING[task]


def _plan_shapes(task: Task) -> str:
    """The optimisation profile as arguments of ``trtexec``."""
    serving = _serving(task)
    usual_batch = max(serving.preferred, default=1)
    profile = {
        "min": (1, *serving.smallest, 3),
        "opt": (usual_batch, *serving.usual, 3),
        "max": (serving.max_batch, *serving.largest, 3),
    }
    return " ".join(f"--{name}Shapes={INPUT}:{'x'.join(map(str, shape))}" for name, shape in profile.items())
