"""The models and the clip that come with the project, through real WebRTC: what was drawn is found there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from inference.catalogue import BUILT_IN
from inference.engines.contract import Task
from inference.matching import iou
from mediaserver.client.client import InferenceClient
from mediaserver.paths import sample_clip
from rendered_world import film
from rendered_world.canvas import HEIGHT, WIDTH
from rendered_world.scene import HELD_OUT
from signaling.messages import Event, OcrEvent, Result
from signaling.pipeline_config import PipelineConfig
from tests.support.accuracy import MarkedPictures, offline, through_webrtc, write_clip
from tests.support.live_server import live_server

CLIP = sample_clip()
SCENES = 80
HOLD_S = 0.4


@pytest.mark.parametrize(("task", "least"), [(Task.DETECT, 85.0), (Task.POSE, 80.0)])
async def test_held_out_scenes_are_found_through_webrtc(task: Task, least: float, tmp_path: Path) -> None:
    pictures = await asyncio.to_thread(MarkedPictures.rendered, range(HELD_OUT, HELD_OUT + SCENES), task)
    clip, model = tmp_path / "scenes.mkv", BUILT_IN / f"{task}.onnx"
    await asyncio.to_thread(write_clip, clip, pictures.frames, HOLD_S)
    _, ap50 = pictures.average_precision(await through_webrtc({task: model}, pictures, clip, HOLD_S))
    _, ap50_offline = pictures.average_precision((await offline({task: model}, pictures))[0])
    print(f"{task}: AP50 {ap50:.1f} through WebRTC, {ap50_offline:.1f} offline")
    assert ap50 >= least


async def test_what_happens_in_the_sample_is_seen_when_and_where_it_happens() -> None:
    """Signs are read while they hang, and at no other time; who moves is found in the very frame named."""
    pipeline = PipelineConfig(detect=True, pose=True, ocr=True)
    events: list[Event] = []
    moments: list[tuple[float, Result]] = []
    async with (
        live_server(BUILT_IN) as live,
        InferenceClient(live.socket_url, pipeline=pipeline, on_event=events.append) as client,
    ):
        async for result in client.stream(CLIP):
            if (moment := client.timeline.locate(result.frame)) is not None:
                moments.append((moment, result))
        read = [
            (client.timeline.locate(event.frame), text.text)
            for event in events
            for text in (event.texts if isinstance(event, OcrEvent) else ())
            if event.frame is not None
        ]
    for sign in film.SIGNS:
        times = [moment for moment, text in read if text == sign.text]
        assert times, f"{sign.text!r} was not read; read were {read}"
        for moment in times:
            assert moment is not None
            assert sign.start - 0.05 <= moment < sign.end + 0.05, sign.text
    assert len(moments) > 60
    overlaps = {shift: _mean_overlap(moments, shift) for shift in (-6, 0, 6)}
    print({shift: round(overlap, 3) for shift, overlap in overlaps.items()})
    assert overlaps[0] > 0.6
    assert overlaps[0] > max(overlaps[-6], overlaps[6])


def _mean_overlap(moments: list[tuple[float, Result]], shift: int) -> float:
    """Of each walker and vehicle with what was found best, were the frame ``shift`` frames later."""
    overlaps = []
    for moment, result in moments[::4]:
        number = min(max(round(moment * film.FPS) + shift, 0), film.FRAMES - 1)
        found = np.array([item.box for item in result.detections or []]).reshape(-1, 4)
        for truth in film.truth(number):
            if truth.label in ("person", "car", "bus"):
                box = np.array([truth.box]) / (WIDTH, HEIGHT, WIDTH, HEIGHT)
                overlaps.append(float(iou(box, found).max(initial=0.0)))
    return float(np.mean(overlaps))
