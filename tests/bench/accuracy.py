"""How well models do on photographs, offline and through WebRTC.

``python -m tests.bench.accuracy [MODELS …]`` prints a Markdown table. MODELS are ONNX files (pose models have
``pose`` in their name); without them those of `MODELS` are taken. The photographs are a part of COCO val2017
with its marks, each made a 320×240 frame in several sizes. Offline the engine gets that very frame. Through
WebRTC the frames make a clip that `InferenceClient` plays into a server, each held for a second.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from inference.engines.contract import Task
from tests.support.accuracy import MarkedPictures, offline, through_webrtc, write_clip

SHARED = Path(__file__).resolve().parents[3] / "shared"
MODELS = tuple(SHARED / "models" / f"{name}.onnx" for name in ("yolox_nano", "yolo_coco_n", "yolo11n_pose"))
HOLD_S = 1.0


async def main(paths: list[Path]) -> None:
    print(
        "| model | task | looks at | AP offline | AP50 offline | AP50 through WebRTC | loss, points "
        "| processor ms a frame |\n|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for path in paths or MODELS:
            task = Task.POSE if "pose" in path.stem else Task.DETECT
            pictures = MarkedPictures.photographs(SHARED / "accuracy", task)
            clip = Path(folder) / f"{task}.mkv"
            if not clip.exists():
                write_clip(clip, pictures.frames, HOLD_S)
            results, frame_ms, size = await offline(path, pictures)
            ap, ap50 = pictures.average_precision(results)
            _, path_ap50 = pictures.average_precision(await through_webrtc(path, pictures, clip, HOLD_S))
            print(
                f"| {path.stem} | {task} | {size} | {ap:.1f} | {ap50:.1f} | {path_ap50:.1f} "
                f"| {ap50 - path_ap50:+.1f} | {frame_ms:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    asyncio.run(main([Path(name) for name in sys.argv[1:]]))
