"""A clip or a camera, as it is named on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from mediaserver.client.errors import ClipError
from mediaserver.client.live_address import LiveAddress, live_address


def clip_argument(text: str) -> Path | LiveAddress:
    """Raises ``argparse.ArgumentTypeError`` for no name, and for a URL of no camera."""
    if not text:
        raise argparse.ArgumentTypeError("the name of the clip is empty")
    try:
        return live_address(text) or Path(text)
    except ClipError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
