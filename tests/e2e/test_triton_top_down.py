"""Poses in crops, found by a real Triton that has the repository which the command writes."""

from __future__ import annotations

import contextlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from tritonclient.grpc.aio import InferenceServerClient

from inference.catalogue import find_models
from inference.engines.contract import Engine, Task
from inference.engines.embedded import EmbeddedEngine
from inference.engines.triton import TritonEngine
from inference.ocr.turns import shared_turns
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.types import Image, Pose
from mediaserver.cli.main import main
from mediaserver.client.client import InferenceClient
from mediaserver.models.conversion import convert
from mediaserver.models.local_triton import TritonPorts, triton_server
from signaling.pipeline_config import PipelineConfig
from tests.support.clips import truth
from tests.support.frames import canvas_of, frame_of, frames
from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import live_server, served_by
from tests.support.pulled import source_files
from tests.support.tiny_models import KEYPOINTS, write_top_down_models
from tests.support.waiting import eventually

GREEN = (30, 220, 30)


@pytest.fixture(scope="module", params=["movenet_thunder_topdown", "movenet_lightning_topdown"])
def real_models(
    request: pytest.FixtureRequest, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a detector and a model of crops. For the detector the frame is not scaled, which ONNX
    and OpenCV do not round alike."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(models_dir / "yolo_coco_n.onnx", folder)
    convert(request.param, *source_files(request.param), folder / f"{request.param}.onnx")
    return folder


@pytest.fixture(autouse=True)
def without_pulled_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has of them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def repository(models: Path, folder: Path) -> Path:
    """What ``mediaserver triton repository`` writes for this processor."""
    written = folder / "repository"
    chosen = ("--flavour", "cpu", "--models", str(models), "--pose-method", "top-down")
    assert main(["triton", "repository", str(written), *chosen]) == 0
    return written


async def test_joints_are_where_they_are_in_the_clip(triton_binary: Path, clip: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    written = repository(write_top_down_models(models, side=192), tmp_path)
    assert {"detect", "pose_crop"} <= {path.name for path in written.iterdir()}
    async with (
        triton_server(triton_binary, written, TritonPorts.free()) as triton,
        live_server(models, **served_by(triton)) as live,
        InferenceClient(live.socket_url, pipeline=PipelineConfig(detect=True, pose=True)) as client,
    ):
        assert client.welcome.models["pose"].name == "colour_blobs_topdown"
        results = [result async for result in client.stream(clip)]
    errors = []
    for result in results:
        moment = client.timeline.locate(result.frame)
        if moment is not None and result.poses:
            x, y, width, height = truth(moment)["green"]
            found = np.array([keypoint[:2] for keypoint in result.poses[0].keypoints])
            errors.append(np.abs(found - (x, y) - KEYPOINTS * (width, height)).max())
            persons = [item for item in result.detections or [] if item.label == "person"]
            assert result.poses[0].id == persons[0].id
    assert len(errors) > 10
    assert np.median(errors) < 0.05


async def test_the_persons_of_a_frame_share_a_run(triton_binary: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    written = repository(write_top_down_models(models), tmp_path)
    street = np.full((240, 320, 3), 90, np.uint8)
    for left in (16, 272):
        cv2.rectangle(street, (left, 80), (left + 31, 160), GREEN, cv2.FILLED)
    jpeg = bytes(cv2.imencode(".jpg", street[..., ::-1])[1])
    async with contextlib.AsyncExitStack() as stack:
        triton = await stack.enter_async_context(triton_server(triton_binary, written, TritonPorts.free()))
        live = await stack.enter_async_context(live_server(models, **served_by(triton)))
        asking = await stack.enter_async_context(InferenceServerClient(triton.grpc))
        warmed_up = (await asking.get_inference_statistics(str(Task.POSE_CROP))).model_stats[0]
        sessions = [
            await stack.enter_async_context(jpeg_client(live, jpeg, detect=False, pose=True))
            for _ in range(3)
        ]
        await eventually(lambda: all(len(session.results) >= 5 for session in sessions), 30)
        counted = (await asking.get_inference_statistics(str(Task.POSE_CROP))).model_stats[0]
    for session in sessions:
        assert session.results[-1]["detections"] is None
        assert len(session.results[-1]["poses"]) == 2
    persons = counted.inference_count - warmed_up.inference_count
    runs = counted.execution_count - warmed_up.execution_count
    assert persons >= 2 * runs >= 10


async def test_real_models_find_the_same_poses_in_both_engines(
    triton_binary: Path, real_models: Path, media_dir: Path, tmp_path: Path
) -> None:
    files: dict[Task, Path] = {
        task: path for task, path in find_models(real_models).items() if task in (Task.DETECT, Task.POSE_CROP)
    }
    pictures = [
        canvas_of(picture)
        for clip in ("people", "pose")
        for _, picture in frames(media_dir / f"{clip}.mp4", every=15, until_s=1.0)
    ]
    async with contextlib.AsyncExitStack() as stack:
        triton = await stack.enter_async_context(
            triton_server(triton_binary, repository(real_models, tmp_path), TritonPorts.free())
        )
        remote = await TritonEngine.open([triton.grpc], deadline_s=20)
        stack.push_async_callback(remote.close)
        local = await EmbeddedEngine.open(files)
        stack.push_async_callback(local.close)
        await remote.ready()
        assert remote.models[Task.POSE_CROP] == local.models[Task.POSE_CROP]
        expected, found = [await poses(engine, pictures) for engine in (local, remote)]
    assert len(expected) >= 4
    assert len(found) == len(expected)
    for here, there in zip(expected, found, strict=True):
        np.testing.assert_allclose(there.box, here.box, atol=1e-3)
        np.testing.assert_allclose(there.keypoints, here.keypoints, atol=1e-3)
        assert there.score == pytest.approx(here.score, abs=1e-3)


async def poses(engine: Engine, pictures: list[Image]) -> list[Pose]:
    """All that are found in the pictures, each looked at by itself."""

    async def ignore(found: TextsFound) -> None:
        pass

    everyone: list[Pose] = []
    with ThreadPoolExecutor(1) as executor:
        for picture in pictures:
            pipeline = Pipeline(engine, PipelineOptions(), executor, shared_turns())
            result = await pipeline.infer(frame_of(picture), ignore)
            assert result.failures == {}
            everyone += result.poses or ()
    return everyone
