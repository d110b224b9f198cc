"""Runs a model of this repository with ONNX Runtime inside Triton's Python backend.

Triton imports this file in a separate process, with numpy and ONNX Runtime but without this project.
``model.onnx`` is in the same folder. Its input is uint8 ``frames``; its float32 outputs keep their names.
"""

import os
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

_NICENESS = 5
"""Nice value. The process yields to the server, if that runs on the same machine."""


class TritonPythonModel:
    """One instance of one model."""

    def initialize(self, args):
        """Loads the network. If this raises, Triton reports the model as unavailable."""
        options = onnxruntime.SessionOptions()
        # Two models of the whole frame run concurrently, and OCR must not delay them. Threads that spin would
        # take processor time from each other.
        is_ocr = args["model_name"].startswith("ocr_")
        options.intra_op_num_threads = 1 if is_ocr else max(1, len(os.sched_getaffinity(0)) // 2)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False
        os.nice(_NICENESS)
        folder = Path(args["model_repository"]) / args["model_version"]
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [output.name for output in self._session.get_outputs()]

    def execute(self, requests):
        """Runs the requests of the dynamic batcher as one batch, and returns their responses in order."""
        # By DLPack, in and out, as the stub of Triton 2.51 expects arrays of numpy 1. With numpy 2 it would
        # give wrong pixels and send empty tensors.
        frames = [
            np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "frames")) for request in requests
        ]
        try:
            head = self._session.run(self._outputs, {"frames": np.concatenate(frames)})
        except Exception as exc:  # noqa: BLE001 - ONNX Runtime's errors share no base class
            error = pb_utils.TritonError(str(exc)[:500])
            return [pb_utils.InferenceResponse(error=error) for _ in requests]
        ends = np.cumsum([len(item) for item in frames])[:-1]
        return [
            pb_utils.InferenceResponse(list(map(pb_utils.Tensor.from_dlpack, self._outputs, parts)))
            for parts in zip(*(np.split(output, ends) for output in head), strict=True)
        ]
