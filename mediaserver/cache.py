"""Where this program keeps what it fetched, for this user of the machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """As the XDG Base Directory Specification has it; it need not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediaserver"


def model_cache() -> Path:
    """The folder of the models that were pulled."""
    return cache_folder() / "models"
