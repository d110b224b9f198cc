"""How well models do on photographs, offline and through WebRTC.

``python -m tests.bench.accuracy [MODELS …]`` prints a Markdown table. MODELS are ONNX files (pose models have
``pose`` in their name); two with a comma between them are a detector and a model for top-down poses, which
lies beside it. Without MODELS those of `MODELS` are taken, and those pulled. AP of persons is that of their
boxes, for pose models of their keypoints. The photographs are a part of COCO val2017
with its marks, each made a 320×240 frame in several sizes. Offline the engine gets that very frame. Through
WebRTC the frames make a clip that `InferenceClient` plays into a server, each held for a second.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from inference.engines.contract import Task
from mediaserver.paths import model_cache
from tests.support.accuracy import MarkedPictures, offline, through_webrtc, write_clip

SHARED = Path(__file__).resolve().parents[3] / "shared"
MODELS = tuple(f"{SHARED}/models/{name}.onnx" for name in ("yolox_nano", "yolo_coco_n", "yolo11n_pose"))
PULLED = (
    "{0}/nanodet_g.onnx",
    "{0}/nanodet_g_320x256.onnx",
    "{0}/nanodet_g_512x384.onnx",
    "{0}/movenet_multipose.onnx",
    "{0}/nanodet_g.onnx,{0}/movenet_thunder_topdown.onnx",
    "{0}/nanodet_g.onnx,{0}/movenet_lightning_topdown.onnx",
)
HOLD_S = 1.0


async def main(names: list[str]) -> None:
    print(
        "| model | task | looks at | AP offline | AP50 offline | AP50 through WebRTC | loss, points "
        "| AP50 of persons, offline, through WebRTC | processor ms a frame |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    pulled = [name.format(model_cache()) for name in PULLED]
    with tempfile.TemporaryDirectory() as folder:
        for name in names or (*MODELS, *pulled):
            files = _files(name)
            task = Task.DETECT if len(files) == 1 and Task.DETECT in files else Task.POSE
            pictures = MarkedPictures.photographs(SHARED / "accuracy", task)
            clip = Path(folder) / f"{task}.mkv"
            if not clip.exists():
                write_clip(clip, pictures.frames, HOLD_S)
            results, frame_ms, size = await offline(files, pictures)
            path_results = await through_webrtc(files, pictures, clip, HOLD_S)
            ap, ap50 = pictures.average_precision(results)
            _, path_ap50 = pictures.average_precision(path_results)
            _, persons = pictures.average_precision(results, "person")
            _, path_persons = pictures.average_precision(path_results, "person")
            print(
                f"| {' + '.join(path.stem for path in files.values())} | {task} | {size} | {ap:.1f} "
                f"| {ap50:.1f} | {path_ap50:.1f} | {ap50 - path_ap50:+.1f} "
                f"| {persons:.1f}, {path_persons:.1f} | {frame_ms:.1f} |",
                flush=True,
            )


def _files(name: str) -> dict[Task, Path]:
    first, _, crops = name.partition(",")
    task = Task.POSE if "pose" in Path(first).stem else Task.DETECT
    return {task: Path(first)} | ({Task.POSE_CROP: Path(crops)} if crops else {})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
