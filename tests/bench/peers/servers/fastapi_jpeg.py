"""JPEG over a WebSocket into FastAPI: a queue of one that drops the older picture, and a thread pool."""

import asyncio
import json
import sys

import cv2
import detector
import numpy as np
import uvicorn
from fastapi import FastAPI, WebSocket

app = FastAPI()


def look(jpeg):
    return json.dumps(detector.detect(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)))


@app.get("/ready")
def ready():
    return {}


@app.websocket("/ws")
async def serve(socket: WebSocket):
    await socket.accept()
    pictures = asyncio.Queue(maxsize=1)

    async def receive():
        while True:
            jpeg = await socket.receive_bytes()
            if pictures.full():
                pictures.get_nowait()
            pictures.put_nowait(jpeg)

    async def work():
        while True:
            jpeg = await pictures.get()
            await socket.send_text(await asyncio.get_running_loop().run_in_executor(None, look, jpeg))

    tasks = [asyncio.ensure_future(receive()), asyncio.ensure_future(work())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
