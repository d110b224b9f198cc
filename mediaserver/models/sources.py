"""Models that `mediaserver models pull` fetches: each from those who made it.

RTMO is not among them: no file of `inference.heads` reads its two outputs, boxes and keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

from inference.engines.contract import Task

_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.3.0"

_PERMISSIVE = frozenset({"Apache-2.0", "BSD-3-Clause", "MIT"})


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One file to fetch. ``licence`` is an SPDX identifier, ``size`` in bytes; ``sha256`` in small
    hexadecimal letters."""

    task: Task
    url: str
    size: int
    sha256: str
    licence: str

    @property
    def file_name(self) -> str:
        """What the file is called, at its source and in a mirror."""
        return self.url.rpartition("/")[2]

    @property
    def is_permissive(self) -> bool:
        """Whether the licence asks for no more than to be passed on."""
        return self.licence in _PERMISSIVE

    @property
    def is_weights(self) -> bool:
        """Whether the file holds PyTorch weights, which Ultralytics' package makes an ONNX file of."""
        return self.url.endswith(".pt")


SOURCES: dict[str, ModelSource] = {
    "yolox_nano": ModelSource(
        Task.DETECT,
        f"{_YOLOX}/yolox_nano.onnx",
        3_659_407,
        "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d",
        "Apache-2.0",
    ),
    "yolox_tiny": ModelSource(
        Task.DETECT,
        f"{_YOLOX}/yolox_tiny.onnx",
        20_219_662,
        "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7",
        "Apache-2.0",
    ),
    "yolox_s": ModelSource(
        Task.DETECT,
        f"{_YOLOX}/yolox_s.onnx",
        35_858_002,
        "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
        "Apache-2.0",
    ),
    "yolo11n": ModelSource(
        Task.DETECT,
        f"{_ULTRALYTICS}/yolo11n.pt",
        5_613_764,
        "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
        "AGPL-3.0",
    ),
    "yolo11s": ModelSource(
        Task.DETECT,
        f"{_ULTRALYTICS}/yolo11s.pt",
        19_313_732,
        "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",
        "AGPL-3.0",
    ),
    "yolo11n-pose": ModelSource(
        Task.POSE,
        f"{_ULTRALYTICS}/yolo11n-pose.pt",
        6_255_593,
        "869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0",
        "AGPL-3.0",
    ),
}
"""By the name that `mediaserver models pull` takes, which is also the stem of the model's file."""
