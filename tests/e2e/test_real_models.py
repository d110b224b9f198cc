"""Through WebRTC the real models find what they find offline, on real clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from inference.catalogue import find_models
from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads.detections import decode
from inference.matching import iou
from mediaserver.client.client import InferenceClient
from signaling.messages import Event, OcrEvent, Result
from signaling.pipeline_config import PipelineConfig
from tests.support.frames import canvas_of, frames
from tests.support.live_server import live_server

SECONDS = 8.0
CONFIDENT = 0.5


async def test_detections_agree_with_the_same_model_offline(models_dir: Path, media_dir: Path) -> None:
    """Compared on the very frames that were inferred. A confident find of one side is found by the other
    at any score that is reported; VP8 at 320×240 costs a few of the small, far people."""
    clip = media_dir / "people.mp4"
    pipeline = PipelineConfig(detect=True, pose=False, detect_threshold=0.25)
    async with live_server(models_dir) as live, InferenceClient(live.socket_url, pipeline=pipeline) as client:
        results = [result async for result in client.stream(clip, SECONDS)]
    online = {
        round(moment * 30): boxes_of(result)
        for result in results
        if (moment := client.timeline.locate(result.frame)) is not None
    }
    assert len(online) >= 20
    found = expected = confirmed = reported = 0
    for number, (boxes, scores) in (await offline(models_dir, clip, set(online))).items():
        boxes_online, scores_online = online[number]
        overlap = iou(boxes, boxes_online)
        sure, sure_online = scores >= CONFIDENT, scores_online >= CONFIDENT
        expected += int(sure.sum())
        found += int((overlap[sure].max(axis=1, initial=0) >= 0.5).sum())
        reported += int(sure_online.sum())
        confirmed += int((overlap[:, sure_online].max(axis=0, initial=0) >= 0.5).sum())
    assert found >= 0.9 * expected, f"{found} of {expected} offline finds came through"
    assert confirmed >= 0.9 * reported, f"{confirmed} of {reported} finds are confirmed offline"


def boxes_of(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """People as float32 [n, 4] and [n]."""
    people = [item for item in result.detections or [] if item.label == "person"]
    boxes = np.array([item.box for item in people], np.float32).reshape(-1, 4)
    return boxes, np.array([item.score for item in people], np.float32)


async def offline(
    models_dir: Path, clip: Path, numbers: set[int]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """People in the given frames of the clip, found without any of the path."""
    engine = await EmbeddedEngine.open({Task.DETECT: find_models(models_dir)[Task.DETECT]})
    found = {}
    try:
        info = engine.models[Task.DETECT]
        for time_s, picture in frames(clip, until_s=SECONDS):
            number = round(time_s * 30)
            if number in numbers:
                (head,) = await engine.infer(Task.DETECT, canvas_of(picture)[np.newaxis])
                decoded = decode((head[0],), info, 0.25)
                people = decoded.classes == info.labels.index("person")
                boxes = decoded.boxes[people] / np.array((320, 240, 320, 240), np.float32)
                found[number] = boxes, decoded.scores[people]
    finally:
        await engine.close()
    return found


async def test_signs_are_read_in_their_time_windows(models_dir: Path, media_dir: Path) -> None:
    """Each sign of the clip is read, letter by letter, from a frame that shows it, and never from another."""
    signs = json.loads((media_dir / "text.json").read_text())["signs"]
    events: list[Event] = []
    pipeline = PipelineConfig(detect=False, pose=False, ocr=True, ocr_min_interval_s=0.5)
    async with (
        live_server(models_dir) as live,
        InferenceClient(live.socket_url, pipeline=pipeline, on_event=events.append) as client,
    ):
        async for result in client.stream(media_dir / "text.mp4"):
            client.timeline.locate(result.frame)
        read: dict[str, list[float]] = {}
        for event in events:
            moment = client.timeline.locate(event.frame) if event.frame else None
            for item in event.texts if isinstance(event, OcrEvent) else ():
                read.setdefault(item.text, []).append(moment if moment is not None else -1.0)
    for sign in signs:
        moments = read.pop(sign["text"], [])
        assert moments, f"{sign['text']!r} was not read; read were {sorted(read)}"
        for moment in moments:
            assert sign["start_s"] - 0.05 <= moment < sign["end_s"] + 0.05, sign["text"]
