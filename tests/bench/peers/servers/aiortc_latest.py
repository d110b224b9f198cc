"""What a careful user of aiortc writes in thirty lines: each track's newest frame goes to a thread pool."""

import asyncio
import json
import sys

import detector
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

connections = set()


def look(frame):
    return json.dumps(detector.detect(frame.to_ndarray(format="bgr24")))


async def infer_newest(track, channels):
    newest, came = [None], asyncio.Event()

    async def read():
        try:
            while True:
                newest[0] = await track.recv()
                came.set()
        except MediaStreamError:
            working.cancel()

    async def work():
        while True:
            await came.wait()
            came.clear()
            result = await asyncio.get_running_loop().run_in_executor(None, look, newest[0])
            for channel in channels:
                if channel.readyState == "open":
                    channel.send(result)

    working = asyncio.ensure_future(work())
    await asyncio.gather(read(), working, return_exceptions=True)


async def offer(request):
    asked, connection, channels = await request.json(), RTCPeerConnection(), []
    connections.add(connection)
    connection.on("datachannel", channels.append)
    connection.on(
        "track", lambda track: connections.add(asyncio.ensure_future(infer_newest(track, channels)))
    )
    await connection.setRemoteDescription(RTCSessionDescription(asked["sdp"], asked["type"]))
    await connection.setLocalDescription(await connection.createAnswer())
    return web.json_response({"sdp": connection.localDescription.sdp, "type": "answer"})


async def ready(request):
    return web.Response()


app = web.Application()
app.router.add_post("/offer", offer)
app.router.add_get("/ready", ready)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
