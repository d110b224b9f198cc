"""From Ultralytics' weights to ONNX, by Ultralytics' own exporter: the optional package ``ultralytics``,
which is large and under AGPL-3.0, and is used for nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mediaserver.errors import MissingPackage, UnreadableFile, reading, writing


def has_exporter() -> bool:
    """Whether the package is installed; it is not imported, as that takes seconds."""
    return importlib.util.find_spec("ultralytics") is not None


def to_onnx(weights: Path) -> Path:
    """An ONNX file beside ``weights`` (.pt), for any batch and size.

    Raises `MissingPackage`, `UnreadableFile`, `OutputError`.
    """
    try:
        from ultralytics import YOLO  # type: ignore[import-not-found]  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise MissingPackage(
            f"{weights}: .pt weights need the package 'ultralytics' (AGPL-3.0); an .onnx file does not"
        ) from exc
    with reading(weights):
        if not weights.is_file():
            raise UnreadableFile(f"no weights {weights}")
    with writing(weights.parent):
        return Path(YOLO(weights).export(format="onnx", dynamic=True))
