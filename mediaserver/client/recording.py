"""Whatever was recorded, by its path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av

from mediaserver.client.clip_file import ClipFile
from mediaserver.client.errors import ClipError
from mediaserver.client.picture_folder import PictureFolder


class Recording(Protocol):
    """Frames to be read as fast as one likes. Blocking, for one thread at a time; use ``with``."""

    framerate: float
    """The mean, in frames a second."""
    duration_s: float | None
    """``None`` where the recording does not say it."""
    damaged: int
    """Packets or pictures so far that could not be decoded."""

    @property
    def share_read(self) -> float:
        """How much was read so far, 0..1."""
        ...

    def frames(self) -> Iterator[av.VideoFrame]:
        """Each frame that can be decoded, upright, in the order of their times, in ticks of
        `mediaserver.client.clip_clock.CLOCK_HZ` since the first.

        Raises `mediaserver.client.errors.ClipError` where there is none.
        """
        ...

    def file_at(self, time_s: float) -> Path:
        """Where the frame at that time is from."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_recording(path: Path) -> Recording:
    """A video file, or a folder of pictures. Blocking. Raises `mediaserver.client.errors.ClipError`."""
    try:
        is_folder = path.is_dir()
    except OSError as exc:  # a name that nothing can have
        raise ClipError(f"{path}: not a video file that can be read ({exc.strerror})") from exc
    return PictureFolder(path) if is_folder else ClipFile(path)


def check_recording(path: Path) -> None:
    """Raises as `open_recording`. Blocking."""
    with open_recording(path):
        pass
