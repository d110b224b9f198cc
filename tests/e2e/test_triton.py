"""The whole server with a real Triton: there, not there, killed and started anew."""

from __future__ import annotations

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from inference.catalogue import find_models
from inference.engines.embedded import EmbeddedEngine
from inference.engines.triton import TritonEngine
from inference.stages import FRAME_NETWORKS, Stage
from mediaserver.client.client import InferenceClient
from mediaserver.models.local_triton import TritonPorts, triton_server
from mediaserver.models.triton_repository import Flavour, write_repository
from signaling.pipeline_config import PipelineConfig
from tests.support.clips import truth
from tests.support.frames import canvas_of, frames
from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import live_server, served_by
from tests.support.reading import read_text
from tests.support.triton_models import write_tiny_repository
from tests.support.waiting import eventually

SESSIONS = 6


async def test_a_session_begins_before_triton_and_finds_what_is_there(
    triton_binary: Path, tiny_models: Path, clip: Path, tmp_path: Path
) -> None:
    """Triton is down at the start: nobody is let in, nothing ends. Then it comes, and a clip goes through."""
    ports = TritonPorts.free()
    write_tiny_repository(tmp_path, tiny_models)
    url = f"127.0.0.1:{ports.grpc}"
    async with live_server(
        tiny_models, wait_ready=False, engine="triton", triton_urls=(url,), triton_http_port=ports.http
    ) as live:
        await eventually(lambda: url in (live.server.trouble or ""))
        async with aiohttp.ClientSession() as http, http.get(f"{live.http_url}readyz") as response:
            body = await response.json()
        assert (response.status, body["state"], body["accepting"]) == (503, "loading", False)
        assert f"Triton at {url}" in body["failure"]
        async with triton_server(triton_binary, tmp_path, ports):
            await eventually(lambda: live.server.refusal() is None)
            async with InferenceClient(live.socket_url, pipeline=PipelineConfig(pose=True)) as client:
                results = [result async for result in client.stream(clip)]
    assert len(results) > 10
    errors = []
    for result in results:
        moment = client.timeline.locate(result.frame)
        found = {item.label: item for item in result.detections or []}
        if moment is not None and "red" in found:
            x, _, width, _ = truth(moment)["red"]
            errors.append(abs(found["red"].box[0] + found["red"].box[2] / 2 - x - width / 2))
    assert len(errors) > 5
    assert np.median(errors) < 0.05


async def test_sessions_outlive_a_triton_that_is_killed(
    triton_binary: Path, tiny_models: Path, jpeg: bytes, tmp_path: Path
) -> None:
    ports = TritonPorts.free()
    write_tiny_repository(tmp_path, tiny_models)
    async with contextlib.AsyncExitStack() as stack:
        triton = await stack.enter_async_context(triton_server(triton_binary, tmp_path, ports))
        live = await stack.enter_async_context(live_server(tiny_models, **served_by(triton)))
        clients = [
            await stack.enter_async_context(jpeg_client(live, jpeg, pose=False)) for _ in range(SESSIONS)
        ]
        await eventually(lambda: all(client.detecting for client in clients))

        os.killpg(triton.process.pid, signal.SIGKILL)
        await eventually(lambda: all(client.states == ["degraded"] for client in clients))
        await eventually(lambda: not any(client.detecting for client in clients))
        async with aiohttp.ClientSession() as http, http.get(f"{live.http_url}readyz") as response:
            assert (response.status, (await response.json())["state"]) == (503, "degraded")
        assert live.metric("model_errors_total", model="detect", error="EngineUnavailable") > 0
        assert live.metric("endpoint_ready", endpoint=triton.grpc) == 0
        async with jpeg_client(live, jpeg) as late:
            await eventually(lambda: late.states == ["degraded"])

        await stack.enter_async_context(triton_server(triton_binary, tmp_path, ports))
        await eventually(lambda: all(client.states == ["degraded", "ready"] for client in clients))
        await eventually(lambda: all(client.detecting for client in clients))
        assert not any(client.closed for client in clients)
        assert live.server.sessions >= SESSIONS


async def test_a_slow_triton_slows_all_sessions_alike_and_nothing_waits_past_its_deadline(
    triton_binary: Path, tiny_models: Path, jpeg: bytes, tmp_path: Path
) -> None:
    write_tiny_repository(tmp_path, tiny_models, pose_seconds=0.15, pose_seconds_a_frame=0.15)
    deadline_ms = 2000
    async with contextlib.AsyncExitStack() as stack:
        triton = await stack.enter_async_context(triton_server(triton_binary, tmp_path, TritonPorts.free()))
        live = await stack.enter_async_context(
            live_server(tiny_models, inference_deadline_ms=deadline_ms, **served_by(triton))
        )
        clients = [
            await stack.enter_async_context(jpeg_client(live, jpeg, interval_s=0.05, detect=False))
            for _ in range(SESSIONS)
        ]
        await eventually(lambda: all(len(client.results) >= 5 for client in clients), 60)
        counts = [len(client.results) for client in clients]
        assert max(counts) <= min(counts) + 2
        results = [result for client in clients for result in client.results]
        assert max(result["timing_ms"]["pose"] for result in results) < deadline_ms + 500
        assert np.median([result["timing_ms"]["wait"] for result in results]) < 150, (
            "the newest frame is taken"
        )
        assert not any(client.closed for client in clients)


async def test_real_models_give_the_same_from_both_engines(
    triton_binary: Path, models_dir: Path, media_dir: Path, tmp_path: Path
) -> None:
    """On frames of each clip: the same objects and people, to a hundredth of a pixel, and the same text."""
    files = find_models(models_dir)
    write_repository(tmp_path, files, Flavour.CPU)
    pictures = [
        canvas_of(picture)
        for name in ("people", "pose", "text")
        for _, picture in frames(media_dir / f"{name}.mp4", every=15, until_s=1.0)
    ]
    async with contextlib.AsyncExitStack() as stack:
        triton = await stack.enter_async_context(triton_server(triton_binary, tmp_path, TritonPorts.free()))
        remote = await TritonEngine.open([triton.grpc], deadline_s=20)
        stack.push_async_callback(remote.close)
        local = await EmbeddedEngine.open(files)
        stack.push_async_callback(local.close)
        await remote.ready()
        seen = 0
        for network in (FRAME_NETWORKS[Stage.DETECT], FRAME_NETWORKS[Stage.POSE]):
            # What is in the repository picks the best candidates itself, and its head says so.
            head = remote.models[network.task].layout
            assert remote.models[network.task] == replace(local.models[network.task], layout=head)
            for picture in pictures:
                expected, found = [
                    network.decode(
                        tuple(output[0] for output in await engine.infer(network.task, picture[np.newaxis])),
                        engine.models[network.task],
                        0.35,
                    )
                    for engine in (local, remote)
                ]
                seen += len(expected.scores)
                np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
                np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
        assert seen >= 8
        *_, (_, sign) = frames(media_dir / "text.mp4", every=75, until_s=3.0)
        with ThreadPoolExecutor(1) as executor:
            expected_texts = await read_text(local, sign, executor)
            texts = await read_text(remote, sign, executor)
        assert texts
        assert [item.text for item in texts] == [item.text for item in expected_texts]
        assert [item.score for item in texts] == pytest.approx([item.score for item in expected_texts])
