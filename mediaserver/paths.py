"""Folders of the project's own files, of its cache, and of temporary files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mediaserver.errors import writing

_PACKAGE = Path(__file__).resolve().parent
_PAGE = ("index.html", "404.html", "ui", "engine", "shared", "sample", "examples")
"""The entries of the page's folder that are served. A checkout also has tests and tools there."""


def web_root() -> Path:
    """Returns the folder of the page."""
    return _shipped("web")


def page_file(name: str) -> Path | None:
    """Returns a served file by its path below the page's folder, else ``None``. Blocks.

    A path that leads out of the folder gives ``None``.
    """
    root = web_root().resolve()
    try:
        file = (root / name).resolve()
        shown = file.relative_to(root).as_posix().partition("/")[0] in _PAGE
        return file if shown and file.is_file() else None
    except (OSError, ValueError):  # ValueError: it lies elsewhere, or is no path at all
        return None


def sample_clip() -> Path:
    """Returns the sample clip, which is a drawn street: 20 s, H.264, 640×480, 30 fps."""
    return web_root() / "sample" / "street.mp4"


def triton_files() -> Path:
    """Returns the folder of the files from which Triton's model repositories are made."""
    return _shipped("triton")


def cache_folder() -> Path:
    """Returns this user's cache folder by the XDG Base Directory Specification. It may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediaserver"


def model_cache() -> Path:
    """Returns the folder of pulled models."""
    return cache_folder() / "models"


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Yields an empty folder and removes it afterwards. Raises `mediaserver.errors.OutputError`."""
    with writing("temporary files"):
        folder = tempfile.TemporaryDirectory(prefix=f"mediaserver-{purpose}-")
    with folder as name:
        yield Path(name)


def _shipped(name: str) -> Path:
    """Returns a folder that is beside this file in an installed wheel, and at the top of a checkout."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
