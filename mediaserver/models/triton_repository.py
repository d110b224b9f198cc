"""Writes a Triton model repository for any flavour.

Each model has a folder, named by its task. The model takes ``frames`` (uint8, NHWC), and gives the float32
outputs of its `inference.stages.Network`. Pre-processing is part of the model. The parameters of its
configuration carry its `ModelInfo`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from inference.engines.contract import Task
from inference.model_metadata import INPUT, KEY
from inference.stages import is_ocr
from mediaserver.errors import writing
from mediaserver.models.onnx_export import load_network, save, with_preprocessing
from mediaserver.models.onnx_front import picture_input
from mediaserver.paths import triton_files

if TYPE_CHECKING:
    from onnx import ModelProto


class Flavour(StrEnum):
    """The runtime of the models inside Triton."""

    CPU = "cpu"
    """ONNX Runtime in Triton's Python backend, on the processor."""
    ONNX = "onnx"
    """Triton's ONNX Runtime backend on the GPU: TensorRT for frames and crops, CUDA for OCR. The default.

    It needs no step after writing the repository.
    """
    TENSORRT = "tensorrt"
    """TensorRT plans. ``triton/build_plans.sh`` builds them in NVIDIA's image on the GPU that runs them."""


@dataclass(frozen=True, slots=True)
class _Serving:
    """How Triton runs one model.

    Waiting requests of all sessions form a batch of a preferred size. If there are too few, Triton runs them
    when the oldest has waited for ``queue_delay_us`` microseconds. OCR prefers no size, as its pictures are
    few and differ in size. On a processor no size is preferred, either, as batches save no time there.

    ``instances`` run concurrently. With one instance Triton 2.51 sometimes delays a request by half a second,
    about one in a hundred. These came right after an answer. With two instances no such delay was seen.
    """

    max_batch: int
    preferred: tuple[int, ...]
    queue_delay_us: int
    instances: int
    smallest: tuple[int, int]
    usual: tuple[int, int]
    largest: tuple[int, int]
    """Heights and widths of pictures for which a TensorRT engine is built. ``usual`` warms the model up."""


_OCR_SERVING = {
    Task.OCR_DET: _Serving(4, (), 0, 1, (32, 32), (480, 640), (640, 640)),
    Task.OCR_REC: _Serving(8, (), 0, 1, (48, 32), (48, 320), (48, 1280)),
}

_MAX_QUEUE = 64
"""Length of a queue; Triton rejects further requests. A newer frame is worth more than a late answer."""

_BACKENDS = {
    Flavour.CPU: ("python", "model.py"),
    Flavour.ONNX: ("onnxruntime", "model.onnx"),
    Flavour.TENSORRT: ("tensorrt", "model.plan"),
}

# Each request carries its own timeout, after which Triton rejects it. A default timeout must not be set. It
# makes Triton until the middle of 2026 miscount idle instances, and a model stays slow (triton-inference-
# server/server#8870).
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
{warm_ups}
parameters {{ key: "{key}" value {{ string_value: {description} }} }}
"""

_OUTPUT = 'output {{ name: "{name}" data_type: TYPE_FP32 dims: {dimensions} }}'

_WARM_UP = """\
model_warmup {{
  name: "batch of {batch}"
  batch_size: {batch}
  inputs {{ key: "{input}" value {{ data_type: TYPE_UINT8 dims: {dimensions} zero_data: true }} }}
}}"""

# The profile covers all shapes in service. Without a profile ONNX Runtime builds an engine for each new batch
# size while frames wait. Each takes half a minute or more.
_TENSORRT_ACCELERATOR = """\
optimization {{
  execution_accelerators {{
    gpu_execution_accelerator {{
      name: "tensorrt"
{parameters}
    }}
  }}
}}
"""
_PARAMETER = '      parameters {{ key: "{key}" value: "{value}" }}'
_WORKSPACE_BYTES = 1 << 30

ENGINE_CACHE = PurePosixPath("/var/cache/triton/engines")
"""Default folder for the engines that Triton builds. It must be writable for Triton.

The folder must serve one version of TensorRT and one GPU model. ONNX Runtime identifies engines by names in
the graph, versions and compute capability. Weights and GPU model are not part of that.
"""

# The default, an exhaustive search, takes seconds for each new shape, and lines of text have many shapes.
# 1 is HEURISTIC (triton-inference-server/onnxruntime_backend, README).
_CUDA_SEARCH = 'parameters { key: "cudnn_conv_algo_search" value { string_value: "1" } }\n'


def write_repository(
    directory: Path, files: Mapping[Task, Path], flavour: Flavour, cache: PurePosixPath = ENGINE_CACHE
) -> None:
    """Writes a folder for each of ``files``, networks as from `inference.catalogue.find_models`.

    For `Flavour.ONNX` Triton builds engines, and keeps them in ``cache``, a folder on Triton's machine. For
    `Flavour.TENSORRT` the plans are still missing: each folder has the network, and the shapes for the plan
    in ``trtexec.args``. Raises `CatalogueError`, `OutputError`.
    """
    for task, path in _one_pose_method(files, flavour).items():
        model = with_preprocessing(load_network(path), path, task)
        with writing(directory):
            _write_model(directory / task, task, model, flavour, cache)


def _one_pose_method(files: Mapping[Task, Path], flavour: Flavour) -> dict[Task, Path]:
    """Chooses between models for both pose methods: crops are cheap on a GPU, but costly on a processor."""
    other = Task.POSE_CROP if flavour is Flavour.CPU else Task.POSE
    both = {Task.POSE, Task.POSE_CROP} <= files.keys()
    return {task: path for task, path in files.items() if not (both and task is other)}


def _write_model(folder: Path, task: Task, model: ModelProto, flavour: Flavour, cache: PurePosixPath) -> None:
    version = folder / "1"
    version.mkdir(parents=True, exist_ok=True)
    file = (folder if flavour is Flavour.TENSORRT else version) / "model.onnx"
    save(model, file)
    config = _config(task, model, flavour)
    if flavour is Flavour.ONNX:
        config += _CUDA_SEARCH
        if not is_ocr(task):
            cached = f"{task}-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
            config += _accelerator(_profile(_serving(task, model)), cache, cached)
    (folder / "config.pbtxt").write_text(config, "utf-8")
    if flavour is Flavour.CPU:
        shutil.copy(triton_files() / "python_backend" / "model.py", version)
    if flavour is Flavour.TENSORRT:
        profile = _profile(_serving(task, model))
        plan_arguments = " ".join(f"--{name}Shapes={shapes}" for name, shapes in profile.items())
        (folder / "trtexec.args").write_text(plan_arguments, "utf-8")


def _config(task: Task, model: ModelProto, flavour: Flavour) -> str:
    serving, sides = _serving(task, model), _sides(model)
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
    warm_up_batches = (1, serving.max_batch) if on_gpu else (1,)
    return _CONFIG.format(
        name=task,
        backend=backend,
        file=file,
        max_batch=serving.max_batch,
        input=INPUT,
        outputs="\n".join(outputs),
        frame=[*(side or -1 for side in sides), 3],
        instances=serving.instances,
        kind="KIND_GPU" if on_gpu else "KIND_CPU",
        preferred=list(serving.preferred) if on_gpu else [],
        queue_delay_us=serving.queue_delay_us,
        max_queue=_MAX_QUEUE,
        warm_ups="\n".join(
            _WARM_UP.format(batch=batch, input=INPUT, dimensions=[*serving.usual, 3])
            for batch in warm_up_batches
        ),
        key=KEY,
        # JSON escapes as protobuf's text format does, and the description is ASCII.
        description=json.dumps(metadata[KEY]),
    )


def _accelerator(profile: Mapping[str, str], cache: PurePosixPath, cached: str) -> str:
    """Returns TensorRT's configuration. ``cached`` is the folder of this model's engines in ``cache``."""
    parameters = {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": _WORKSPACE_BYTES,
        "trt_engine_cache_enable": 1,
        "trt_engine_cache_path": cache / cached,
        "trt_timing_cache_enable": 1,
        "trt_timing_cache_path": cache,
        **{f"trt_profile_{name}_shapes": shapes for name, shapes in profile.items()},
    }
    lines = [_PARAMETER.format(key=key, value=value) for key, value in parameters.items()]
    return _TENSORRT_ACCELERATOR.format(parameters="\n".join(lines))


def _serving(task: Task, model: ModelProto) -> _Serving:
    if is_ocr(task):
        return _OCR_SERVING[task]
    size = _sides(model)
    assert all(size), "only OCR takes pictures of any size"
    return _Serving(16, (4, 8), 1000, 2, smallest=size, usual=size, largest=size)


def _sides(model: ModelProto) -> tuple[int, int]:
    """Returns height and width of the input of a model with pre-processing; 0 for any size."""
    _, height, width, _ = picture_input(model).type.tensor_type.shape.dim
    return height.dim_value, width.dim_value


def _profile(serving: _Serving) -> dict[str, str]:
    """Returns the optimisation profile in the form of ONNX Runtime and ``trtexec``.

    It has the smallest, the usual and the largest input.
    """
    usual_batch = max(serving.preferred, default=1)
    shapes = {
        "min": (1, *serving.smallest, 3),
        "opt": (usual_batch, *serving.usual, 3),
        "max": (serving.max_batch, *serving.largest, 3),
    }
    return {name: f"{INPUT}:{'x'.join(map(str, shape))}" for name, shape in shapes.items()}
