"""Converts Ultralytics' weights to ONNX with their exporter, the optional package ``ultralytics``.

The package is large and under AGPL-3.0, and is used for nothing else.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mediaserver.errors import MissingPackage, UnreadableFile, reading, writing
from mediaserver.packages import pip_install, required_by


def has_exporter() -> bool:
    """Whether the package is installed. It is not imported, which would take seconds."""
    return importlib.util.find_spec("ultralytics") is not None


def how_to_install() -> str:
    """Returns the command that installs the package and the other requirements of the export."""
    return pip_install(required_by("ultralytics"))


def to_onnx(weights: Path) -> Path:
    """Writes an ONNX file beside ``weights`` (.pt), with dynamic batch and size, and returns its path.

    Raises `MissingPackage`, `UnreadableFile`, `OutputError`.
    """
    try:
        from ultralytics import YOLO  # type: ignore[import-not-found]  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise MissingPackage(
            f"{weights}: .pt weights need the package 'ultralytics' (AGPL-3.0), an .onnx file does not: "
            f"{how_to_install()}"
        ) from exc
    with reading(weights):
        if not weights.is_file():
            raise UnreadableFile(f"no weights {weights}")
    with writing(weights.parent):
        return Path(YOLO(weights).export(format="onnx", dynamic=True))
