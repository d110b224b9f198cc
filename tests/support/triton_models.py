"""Model repositories for a real Triton in tests: the small networks, and models that do as they are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inference.catalogue import find_models
from inference.engines.contract import Task
from mediaserver.models.triton_repository import Flavour, write_repository

_MODEL = """
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        counts = [pb_utils.get_input_tensor_by_name(request, "frames").shape()[0] for request in requests]
        time.sleep({seconds} + {seconds_a_frame} * sum(counts))
        if {fails}:
            raise ValueError("out of order")
        heads = [np.zeros((count, 300, 57), np.float32) for count in counts]
        return [pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack("head", head)]) for head in heads]
"""


_PACED_MODEL = """
import fcntl
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        counts = [pb_utils.get_input_tensor_by_name(request, "frames").shape()[0] for request in requests]
        with open({pace!r}) as pace:
            fcntl.flock(pace, fcntl.LOCK_EX)
            time.sleep(float(pace.read()) * sum(counts))
        heads = [np.zeros((count, 300, {columns}), np.float32) for count in counts]
        return [pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack("head", head)]) for head in heads]
"""


_REPLAYING_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, arguments):
        self._head = np.load({head!r})

    def execute(self, requests):
        counts = [pb_utils.get_input_tensor_by_name(request, "frames").shape()[0] for request in requests]
        heads = [np.repeat(self._head[None], count, axis=0) for count in counts]
        return [pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack("head", head)]) for head in heads]
"""


def write_replaying_repository(directory: Path, models: Path, persons: int) -> Path:
    """Detection and pose that find the same ``persons`` in every frame, at no cost to speak of."""
    files = {task: path for task, path in find_models(models).items() if task in (Task.DETECT, Task.POSE)}
    write_repository(directory, files, Flavour.CPU)
    for task, columns in ((Task.DETECT, 6), (Task.POSE, 57)):
        head = np.zeros((300, columns), np.float32)
        for person in range(persons):
            centre, size = (30 + 50 * person, 120), (30, 90)
            head[person, :6] = (*centre, *size, 0.9, 0)
            head[person, 6:] = np.tile((*centre, 0.9), 17)[: columns - 6]
        path = directory / task / "head.npy"
        np.save(path, head)
        _replace(directory, task, _REPLAYING_MODEL.format(head=str(path)))
    return directory


def write_paced_repository(directory: Path, models: Path, pace: Path) -> Path:
    """Detection and pose that find nothing, and that share one device: a frame takes either of them as many
    seconds as stand in the file ``pace``, one after the other."""
    files = {task: path for task, path in find_models(models).items() if task in (Task.DETECT, Task.POSE)}
    write_repository(directory, files, Flavour.CPU)
    for task, columns in ((Task.DETECT, 6), (Task.POSE, 57)):
        _replace(directory, task, _PACED_MODEL.format(pace=str(pace), columns=columns))
    return directory


def write_tiny_repository(
    directory: Path, models: Path, *, pose_seconds: float | None = None, pose_seconds_a_frame: float = 0.0
) -> Path:
    """Detection and pose with the networks in ``models``; with ``pose_seconds`` a pose model that finds
    nobody, and sleeps that long for a batch of any size and ``pose_seconds_a_frame`` more for each frame."""
    files = {task: path for task, path in find_models(models).items() if task in (Task.DETECT, Task.POSE)}
    write_repository(directory, files, Flavour.CPU)
    if pose_seconds is not None:
        _replace(directory, Task.POSE, _model(pose_seconds, pose_seconds_a_frame))
        _serve_as_on_a_gpu(directory / Task.POSE / "config.pbtxt")
    return directory


def add_failing_model(directory: Path, models: Path) -> None:
    """An OCR detector that loads, and fails whenever it is run."""
    write_repository(directory, {Task.OCR_DET: find_models(models)[Task.OCR_DET]}, Flavour.CPU)
    _replace(directory, Task.OCR_DET, _model(fails=True))
    config = directory / Task.OCR_DET / "config.pbtxt"
    text = config.read_text()
    start, end = text.index("model_warmup"), text.index("parameters")
    config.write_text(text[:start] + text[end:])


def _model(seconds: float = 0.0, seconds_a_frame: float = 0.0, *, fails: bool = False) -> str:
    return _MODEL.format(seconds=seconds, seconds_a_frame=seconds_a_frame, fails=fails)


def _serve_as_on_a_gpu(config: Path) -> None:
    """Batches are gathered for a model that sleeps, as for one on a GPU, which does one thing at a time."""
    text = config.read_text().replace("preferred_batch_size: []", "preferred_batch_size: [4, 8]")
    config.write_text(text.replace("instance_group { count: 2", "instance_group { count: 1"))


def _replace(directory: Path, task: Task, source: str) -> None:
    version = directory / task / "1"
    (version / "model.py").write_text(source)
    (version / "model.onnx").unlink()
