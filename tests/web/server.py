"""The real server in this process, with an engine that a test can see through."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping

import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import (
    Engine,
    EngineUnavailable,
    Head,
    HeadLayout,
    InFlight,
    ModelInfo,
    Placement,
    Task,
)
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats
from mediaserver.server import scoreboard
from mediaserver.server.core import LoadEngine, MediaServer, Readiness
from mediaserver.server.run import listening
from mediaserver.settings.model import Settings
from mediaserver.settings.types import TokenKeys
from mediaserver.telemetry.metrics import Metrics


@contextlib.asynccontextmanager
async def serving(
    load_engine: LoadEngine, *, wait_ready: bool = True, **settings: object
) -> AsyncIterator[str]:
    """The address of a server; port 0 unless ``settings`` say otherwise."""
    chosen = Settings(**{"port": 0, "pose": False, **settings})  # type: ignore[arg-type]
    server = MediaServer(chosen, load_engine, Metrics(), scoreboard.alone(chosen.max_sessions).rows[0])
    async with server.running(), listening(server) as (url, stop_listening):
        while wait_ready and server.readiness is Readiness.LOADING:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        yield url
        stop_listening()
        await server.drain()


def token_keys(keys: Mapping[str, str]) -> TokenKeys:
    """For the setting of that name: key id → secret."""
    return TokenKeys(json.dumps(keys))


class RedThingDetector:
    """Finds the one red thing in a picture: a detector whose truth is known. Takes ``seconds`` a frame, which
    a test may change."""

    def __init__(self, seconds: float = 0.0, *, licence: str = "", synthetic: bool = False) -> None:
        self.seconds = seconds
        self.trouble: str | None = None
        """Set by a test: as if what runs the model were out of reach."""
        whole_frame = Placement(FRAME_WIDTH, FRAME_HEIGHT, 1.0, 0.0, 0.0)
        self._models = {
            Task.DETECT: ModelInfo(
                Task.DETECT, "red", ("thing",), HeadLayout.END_TO_END, whole_frame, licence, synthetic
            )
        }

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        return self._models

    @property
    def in_flight(self) -> InFlight:
        return InFlight(frames=4, of_one_session=1)

    async def ready(self) -> None:
        """At once."""

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        await asyncio.sleep(self.seconds)
        if self.trouble is not None:
            raise EngineUnavailable(self.trouble)
        return (np.stack([self._find(image) for image in images]),)

    async def close(self) -> None:
        """Holds nothing."""

    @staticmethod
    def _find(image: NDArray[np.uint8]) -> Floats:
        """float32 [1, 6]: x1, y1, x2, y2, score, class."""
        red, green, blue = (image[..., i].astype(np.int16) for i in range(3))
        rows, columns = np.nonzero(red - np.maximum(green, blue) > 80)
        if len(rows) == 0:
            return np.zeros((1, 6), np.float32)
        corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return np.array([[*corners, 0.9, 0]], np.float32)


def loading(engine: Engine) -> LoadEngine:
    """Hands over an engine that exists already."""

    async def load(_metrics: Metrics) -> Engine:
        return engine

    return load


async def never_loads(_metrics: Metrics) -> Engine:
    """Models that take for ever."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
