"""FastRTC as its guide has it: a handler of frames, whose additional outputs a route of events gives."""

import json
import sys

import detector
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastrtc import AdditionalOutputs, Stream


def handle(image):
    return AdditionalOutputs(json.dumps(detector.detect(image)))


stream = Stream(handler=handle, modality="video", mode="send", concurrency_limit=100)
app = FastAPI()
stream.mount(app)


@app.get("/ready")
def ready():
    return {}


@app.get("/begin/{webrtc_id}")
def begin(webrtc_id: str):
    stream.set_input(webrtc_id, None)
    return {}


@app.get("/outputs")
async def outputs(webrtc_id: str):
    async def events():
        async for output in stream.output_stream(webrtc_id):
            yield f"data: {output.args[0]}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
