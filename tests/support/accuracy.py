"""Average precision of models on pictures whose objects are known, offline and through real WebRTC.

AP is pycocotools'; AP50 is that at IoU, or at OKS, 0.5.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from inference.letterbox import Letterbox
from inference.ocr.turns import shared_turns
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.preprocess import PADDING
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Detection, Image, Pose
from mediaserver.client.client import InferenceClient
from rendered_world.canvas import HEIGHT, WIDTH
from rendered_world.scene import Truth, still
from rendered_world.things import LABELS
from signaling.findings import WireDetection, WirePose
from signaling.pipeline_config import PipelineConfig
from tests.support.frames import frame_of
from tests.support.live_server import live_server

MARKS = {Task.DETECT: "instances.json", Task.POSE: "person_keypoints.json"}
THRESHOLD = 0.05
FPS = 30
LAST = 0.9
"""Share of a hold after which results do not count: near its end they may be of the next picture."""
SIZES = (1.0, 0.97, 0.94, 0.91)
"""Of a photograph, as shares of the largest that fits the frame. A few persons found or missed by a hair are
points of AP in so few photographs; several sizes of each average that out."""
_AREA_OF_BOX = 0.53
"""What a person's outline is of the box, on the average: COCO's similarity asks for it."""


@dataclass
class MarkedPictures:
    """320×240 frames, in the order of ``entries``, where in them each picture lies, and what is marked in the
    pictures, as COCO has it."""

    task: Task
    coco: COCO
    entries: list[dict[str, Any]] = field(default_factory=list)
    places: list[Letterbox] = field(default_factory=list)
    frames: list[Image] = field(default_factory=list)

    @classmethod
    def photographs(cls, folder: Path, task: Task) -> MarkedPictures:
        """The part of COCO val2017 in ``folder``, with what people marked, each in `SIZES`."""
        content = json.loads((folder / MARKS[task]).read_text())
        pictures = cls(task, _indexed(_repeated(content, len(SIZES))))
        for entry in pictures.coco.dataset["images"]:
            picture = cv2.imread(str(folder / "images" / entry["file_name"]), cv2.IMREAD_COLOR_RGB)
            place, frame = _placed(np.asarray(picture, np.uint8), SIZES[entry["id"] % len(SIZES)])
            pictures.entries.append(entry)
            pictures.places.append(place)
            pictures.frames.append(frame)
        return pictures

    @classmethod
    def rendered(cls, seeds: Sequence[int], task: Task) -> MarkedPictures:
        """Scenes of our own drawing, with what was drawn."""
        scenes = [still(seed) for seed in seeds]
        entries = [{"id": number, "width": WIDTH, "height": HEIGHT} for number in range(len(scenes))]
        marks = [
            _annotation(number, truth)
            for number, (_, truths) in enumerate(scenes)
            for truth in truths
            if task is Task.DETECT or truth.keypoints is not None
        ]
        categories = [{"id": number, "name": label} for number, label in enumerate(LABELS)]
        numbered = [{"id": number, **mark} for number, mark in enumerate(marks, 1)]
        coco = _indexed({"images": entries, "annotations": numbered, "categories": categories})
        places = [Letterbox.fit(WIDTH, HEIGHT)] * len(scenes)
        return cls(task, coco, entries, places, [picture for picture, _ in scenes])

    def scored(
        self, number: int, found: tuple[Detection | Pose, ...] | list[WireDetection] | list[WirePose]
    ) -> list[dict[str, Any]]:
        """What was found in a frame as COCO's result entries, in pixels of the picture."""
        entry = self.entries[number]
        box = self.places[number]
        scale = entry["width"] / box.width, entry["height"] / box.height
        categories = {item["name"]: item["id"] for item in self.coco.dataset["categories"]}

        def on_picture(x: float, y: float) -> tuple[float, float]:
            return (x * FRAME_WIDTH - box.left) * scale[0], (y * FRAME_HEIGHT - box.top) * scale[1]

        entries = []
        for item in found:
            x, y, width, height = item.box
            left, top = on_picture(x, y)
            right, bottom = on_picture(x + width, y + height)
            result = {
                "image_id": entry["id"],
                "category_id": categories.get(getattr(item, "label", "person")),
                "bbox": [left, top, right - left, bottom - top],
                "score": item.score,
            }
            if self.task is Task.POSE:
                result["keypoints"] = [
                    value for x, y, score in item.keypoints for value in (*on_picture(x, y), score)
                ]
            if result["category_id"] is not None:
                entries.append(result)
        return entries

    def average_precision(
        self, results: list[dict[str, Any]], label: str | None = None
    ) -> tuple[float, float]:
        """AP and AP50, 0..100; of all labels, or of one."""
        with contextlib.redirect_stdout(io.StringIO()):
            kind = "keypoints" if self.task is Task.POSE else "bbox"
            evaluation = COCOeval(self.coco, self.coco.loadRes(results), kind)
            if label is not None:
                evaluation.params.catIds = self.coco.getCatIds(catNms=[label])
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return float(evaluation.stats[0] * 100), float(evaluation.stats[1] * 100)


def _indexed(content: dict[str, Any]) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = content
        coco.createIndex()
    return coco


def _repeated(content: dict[str, Any], times: int) -> dict[str, Any]:
    """COCO's content with each image so many times; of an id they are id · times and those after it."""
    images = [
        {**image, "id": image["id"] * times + copy} for copy in range(times) for image in content["images"]
    ]
    marks = [
        {**mark, "id": mark["id"] * times + copy, "image_id": mark["image_id"] * times + copy}
        for copy in range(times)
        for mark in content["annotations"]
    ]
    return {**content, "images": images, "annotations": marks}


def _placed(picture: Image, size: float) -> tuple[Letterbox, Image]:
    """The picture in the middle of a grey frame, at this share of the largest size that fits."""
    largest = Letterbox.fit(picture.shape[1], picture.shape[0])
    width, height = round(largest.width * size), round(largest.height * size)
    place = Letterbox((FRAME_WIDTH - width) // 2, (FRAME_HEIGHT - height) // 2, width, height)
    frame = np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), PADDING, np.uint8)
    frame[place.top : place.top + height, place.left : place.left + width] = cv2.resize(
        picture, (width, height), interpolation=cv2.INTER_AREA
    )
    return place, frame


def _annotation(number: int, truth: Truth) -> dict[str, Any]:
    x, y, width, height = truth.box
    mark = {"image_id": number, "category_id": LABELS.index(truth.label), "bbox": [x, y, width, height]}
    mark |= {"area": _AREA_OF_BOX * width * height, "iscrowd": 0}
    if truth.keypoints is not None:
        marked = int((truth.keypoints[:, 2] > 0).sum())
        mark |= {"keypoints": truth.keypoints.ravel().tolist(), "num_keypoints": marked}
    return mark


async def offline(
    files: Mapping[Task, Path], pictures: MarkedPictures
) -> tuple[list[dict[str, Any]], float, str]:
    """Results, processor time a frame in the pipeline (ms, one thread), the size that the first of the models
    looks at."""

    async def ignore(found: TextsFound) -> None:
        pass

    task = pictures.task
    options = PipelineOptions(
        task is Task.DETECT, task is Task.POSE, detect_threshold=THRESHOLD, pose_threshold=THRESHOLD
    )
    engine = await EmbeddedEngine.open(files, threads=1)
    results, spent = [], []
    with ThreadPoolExecutor(2) as executor:
        for number, frame in enumerate(pictures.frames):
            pipeline, given = Pipeline(engine, options, executor, shared_turns()), frame_of(frame)
            began = time.process_time()
            found = await pipeline.infer(given, ignore)
            spent.append((time.process_time() - began) * 1000)
            results += pictures.scored(number, found.detections or found.poses or ())
    await engine.close()
    place = engine.models[next(iter(files))].placement
    assert place is not None
    return results, float(np.median(spent)), f"{place.width}×{place.height}"


async def through_webrtc(
    files: Mapping[Task, Path], pictures: MarkedPictures, clip: Path, hold_s: float
) -> list[dict[str, Any]]:
    """Of each picture the last result while ``clip``, which holds each for so long, is played to a server."""
    task = pictures.task
    pipeline = PipelineConfig(
        detect=task is Task.DETECT,
        pose=task is Task.POSE,
        detect_threshold=THRESHOLD,
        pose_threshold=THRESHOLD,
    )
    named: dict[str, Any] = {
        f"{Task.POSE if task is Task.POSE_CROP else task}_model": str(path) for task, path in files.items()
    }
    folder = next(iter(files.values())).parent
    named["pose_method"] = "top-down" if Task.POSE_CROP in files else "single-shot"
    last: dict[int, list[dict[str, Any]]] = {}
    async with (
        live_server(folder, **named) as live,
        InferenceClient(live.socket_url, pipeline=pipeline) as client,
    ):
        results = []
        async for result in client.stream(clip):
            client.timeline.locate(result.frame)
            results.append(result)
        # And again: where frames are from before the first sender report is known only now.
        for result in results:
            moment = client.timeline.locate(result.frame)
            holds = ((moment or 0.0) + 0.5 / FPS) / hold_s
            if moment is not None and holds % 1 < LAST:
                number = int(holds)
                last[number] = pictures.scored(number, result.detections or result.poses or [])
    missing = set(range(len(pictures.frames))) - set(last)
    if missing:
        print(f"no result for {len(missing)} of {len(pictures.frames)} pictures")
    return [entry for entries in last.values() for entry in entries]


def write_clip(path: Path, frames: Sequence[Image], hold_s: float) -> None:
    """Each frame held for so long, as by a camera that looks at a photograph; without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = FRAME_WIDTH, FRAME_HEIGHT, "bgr0"
        stream.time_base = Fraction(1, FPS)
        held = round(hold_s * FPS)
        for number in range(len(frames) * held):
            frame = av.VideoFrame.from_ndarray(frames[number // held], format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame.reformat(format="bgr0")))
        container.mux(stream.encode())
