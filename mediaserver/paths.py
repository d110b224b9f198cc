"""Where the project's own files lie, and where it keeps what it fetched and what it needs for a while."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mediaserver.errors import writing

_PACKAGE = Path(__file__).resolve().parent


def web_root() -> Path:
    """The folder of the page."""
    return _shipped("web")


def sample_clip() -> Path:
    """The clip that comes with the project, and is drawn by it: 20 s of a street, H.264, 640×480, 30 fps."""
    return web_root() / "sample" / "street.mp4"


def triton_files() -> Path:
    """The folder of the files that Triton's model repositories are made with."""
    return _shipped("triton")


def cache_folder() -> Path:
    """Where fetched files are kept for this user, as the XDG Base Directory Specification has it; it need not
    exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediaserver"


def model_cache() -> Path:
    """The folder of the models that were pulled."""
    return cache_folder() / "models"


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """An empty folder, gone afterwards. Raises `mediaserver.errors.OutputError`."""
    with writing("temporary files"):
        folder = tempfile.TemporaryDirectory(prefix=f"mediaserver-{purpose}-")
    with folder as name:
        yield Path(name)


def _shipped(name: str) -> Path:
    """A folder that lies beside this file in an installed wheel, and at the top of a checkout."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
