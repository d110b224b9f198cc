from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from inference.catalogue import BUILT_IN
from mediaserver.models.default_models import missing_defaults, pull_missing
from mediaserver.models.files import PULL_DEFAULTS, files_in_use, synthetic_words
from mediaserver.models.sources import DEFAULTS
from mediaserver.settings.model import Settings
from mediaserver.settings.types import CdnPattern


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of pulled models; not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mediaserver" / "models"


def test_a_new_installation_lacks_all_defaults() -> None:
    assert missing_defaults(Settings()) == list(DEFAULTS.values())


@pytest.mark.parametrize(
    "chosen",
    [
        {"models": BUILT_IN},
        {"detect_model": "detect"},
        {"pose_model": "pose"},
        {"pose_method": "single-shot"},
    ],
)
def test_who_has_chosen_something_lacks_none(chosen: dict[str, Any]) -> None:
    assert missing_defaults(Settings(**chosen)) == []


def test_what_was_pulled_is_not_missing(cache: Path) -> None:
    cache.mkdir(parents=True)
    shutil.copy(BUILT_IN / "detect.onnx", cache / "nanodet_g.onnx")
    assert missing_defaults(Settings()) == ["movenet_multipose"]


def test_without_a_network_one_line_says_so_and_what_is_built_in_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # nor is there an npm
    console = Console(file=io.StringIO(), width=1000)
    nowhere = CdnPattern("https://nowhere.invalid/{package}/{version}/{path}")
    pull_missing(Settings(model_cdn=nowhere), console)
    assert isinstance(console.file, io.StringIO)
    said = [line for line in console.file.getvalue().splitlines() if "real world" in line]
    assert len(said) == 1
    assert "nowhere.invalid cannot be reached" in said[0]
    assert "will not recognise real people" in str(synthetic_words(files_in_use(Settings())))
    assert PULL_DEFAULTS == "mediaserver models pull nanodet_g movenet_multipose"


def test_a_pulled_detector_needs_no_warning(cache: Path) -> None:
    cache.mkdir(parents=True)
    shutil.copy(BUILT_IN / "detect.onnx", cache / "nanodet_g.onnx")
    assert synthetic_words(files_in_use(Settings())) is None
