"""A real server that is reached over a `Stage`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mediaserver.settings.types import NetworkInterface
from tests.network.stage import Stage
from tests.support.live_server import LiveServer, live_server


@contextlib.asynccontextmanager
async def server_on(link: Stage, models: Path, **settings: Any) -> AsyncIterator[LiveServer]:
    """Ready when entered."""
    address = link.server
    async with live_server(
        models,
        host=address,
        allow_anonymous=True,
        ice_interfaces=(NetworkInterface(address),),
        **settings,
    ) as live:
        yield live
