"""A folder of pictures, read as a clip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from mediaserver.client.clip_clock import CLOCK_HZ
from mediaserver.client.clip_file import ClipFile
from mediaserver.client.errors import ClipError

_SUFFIXES = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_FRAMERATE = 30
_STEP = CLOCK_HZ // _FRAMERATE


class PictureFolder:
    """The pictures right in a folder, by name, numbers in names as numbers; 30 a second. Use as `ClipFile`.

    Each has the time of its place, also where one before it cannot be read; ``damaged`` counts these. Raises
    `ClipError` for a folder without pictures.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = pictures_in(path)
        self._read = 0
        self.framerate = float(_FRAMERATE)
        self.damaged = 0
        self.duration_s: float | None = len(self._files) / _FRAMERATE

    @property
    def share_read(self) -> float:
        """How many of the pictures were read, 0..1."""
        return self._read / len(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Holds nothing."""

    def frames(self) -> Iterator[av.VideoFrame]:
        """Each picture that can be decoded. Raises `ClipError` where there is none at all."""
        for number, file in enumerate(self._files):
            self._read = number + 1
            try:
                with ClipFile(file) as picture:
                    frame = next(picture.frames())
            except ClipError:
                self.damaged += 1
                continue
            frame.pts, frame.time_base = number * _STEP, Fraction(1, CLOCK_HZ)
            yield frame
        if self.damaged == len(self._files):
            raise ClipError(f"{self._path}: none of its {self.damaged} pictures can be decoded")

    def file_at(self, time_s: float) -> Path:
        """Where the frame at that time is from."""
        return self._files[min(round(time_s * _FRAMERATE), len(self._files) - 1)]


def pictures_in(path: Path) -> list[Path]:
    """The pictures right in the folder ``path``, in order, but for hidden ones. Raises `ClipError` where
    there is none."""
    try:
        shown = [file for file in path.iterdir() if not file.name.startswith(".")]
        found = [file for file in shown if file.suffix.lower() in _SUFFIXES and file.is_file()]
    except OSError as exc:
        raise ClipError(f"{path}: the folder cannot be read") from exc
    if not found:
        raise ClipError(f"{path}: no pictures in this folder ({', '.join(sorted(_SUFFIXES))})")
    return sorted(found, key=lambda file: _counting(file.name))


def _counting(name: str) -> list[tuple[int, str]]:
    """Orders 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]
