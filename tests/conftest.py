from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _directory(variable: str, name: str) -> Path:
    path = Path(os.environ.get(variable, SHARED / name))
    if not path.is_dir():
        pytest.skip(f"no directory {path}; set {variable}")
    return path


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Test models, each described in SOURCES.md beside them."""
    return _directory("MEDIASERVER_MODELS", "models")


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """Test clips: people.mp4, pose.mp4, text.mp4, mixed.mp4 and text.json."""
    return _directory("MEDIASERVER_MEDIA", "media")
