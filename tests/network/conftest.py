from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network.camera import HEIGHT, WIDTH, camera_pictures, write_camera_recording
from tests.network.stage import Stage, stage


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def camera_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute, as a recording."""
    return write_camera_recording(tmp_path_factory.mktemp("camera") / "room.mp4", 30)


@pytest.fixture(scope="session")
def browser_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, five seconds for the fake camera of Chromium, which repeats them."""
    from tests.web.browser import write_camera_clip

    path = tmp_path_factory.mktemp("camera") / "room.mjpeg"
    write_camera_clip(path, camera_pictures(5), WIDTH, HEIGHT)
    return path
