"""Runs a model of this repository with ONNX Runtime inside Triton's Python backend.

Triton imports this file in a process of its own, which has numpy, ONNX Runtime and nothing of the project.
``model.onnx`` lies beside it: uint8 ``frames`` in, float32 outputs under the names that they have there.
"""

import os
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

_NICENESS = 5
"""Yields to what takes frames in and hands results out, where that runs on the same machine."""


class TritonPythonModel:
    """One instance of one model."""

    def initialize(self, args):
        """Loads the network; an error here makes Triton call the model unavailable."""
        options = onnxruntime.SessionOptions()
        # What looks at the whole frame runs side by side, and OCR must not make it wait; threads that spin
        # would take the processor from each other.
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
        """Runs what the dynamic batcher put together as one batch; one response a request, in order."""
        # By DLPack, in and out: the stub of Triton 2.51 takes numpy's arrays for those of numpy 1, and where
        # numpy 2 runs it would give wrong pixels and send empty tensors.
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
