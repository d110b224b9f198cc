"""Where the page lies."""

from __future__ import annotations

from pathlib import Path


def web_root() -> Path:
    """The folder of the page: beside this file in an installed wheel, at the top of a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "web"
    return installed if installed.is_dir() else here.parent / "web"


def sample_clip() -> Path:
    """The clip that comes with the project, and is drawn by it: 20 s of a street, H.264, 640×480, 30 fps."""
    return web_root() / "sample" / "street.mp4"
