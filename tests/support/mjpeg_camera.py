"""A camera that gives MJPEG by HTTP, as many do: multipart/x-mixed-replace. Each picture says its number."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator

import av
import cv2
import numpy as np
from aiohttp import web

from mediaserver.child_process import free_ports
from signaling.jpeg import Orientation
from tests.support.exif import with_orientation

_BITS = 16
_CELL = 16


def picture(number: int) -> bytes:
    """A JPEG of 256×64 pixels whose columns are the bits of ``number``, below a red square."""
    bits = [255 * (number >> bit & 1) for bit in range(_BITS)]
    image = np.repeat(np.repeat(np.array([bits], np.uint8), 64, axis=0), _CELL, axis=1)
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))[1])


def number_in(frame: av.VideoFrame) -> int:
    """What `picture` was made of."""
    row = frame.to_ndarray(format="gray")[32, _CELL // 2 :: _CELL]
    return int(sum(1 << bit for bit, value in enumerate(row[:_BITS]) if value > 127))


class MjpegCamera:
    """Serves ``/mjpeg`` at 30 pictures a second. ``newest`` is the number of the last one that was sent."""

    def __init__(self) -> None:
        [self.port] = free_ports(1)
        self.newest = 0
        self.connections = 0
        self.password: str | None = None
        self.silent = False
        self.orientation = Orientation.AS_CODED
        self.ends_after: int | None = None
        """So many pictures of a connection."""
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mjpeg"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/mjpeg", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.password is not None:
            expected = "Basic " + base64.b64encode(self.password.encode()).decode()
            if request.headers.get("Authorization") != expected:
                return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="camera"'})
        self.connections += 1
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=next"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            last = None if self.ends_after is None else self.newest + self.ends_after
            while last is None or self.newest < last:
                if not self.silent:
                    self.newest += 1
                    data = with_orientation(picture(self.newest), self.orientation)
                    head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    await response.write(head.encode() + data + b"\r\n")
                await asyncio.sleep(1 / 30)
        return response


@contextlib.asynccontextmanager
async def mjpeg_camera() -> AsyncIterator[MjpegCamera]:
    """Serving when entered."""
    camera = MjpegCamera()
    await camera.start()
    try:
        yield camera
    finally:
        await camera.stop()
