"""How well sessions fill the batches of a real Triton: rates beside each other, in one run."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import numpy as np
from tritonclient.grpc.aio import InferenceServerClient

from inference.engines.contract import Task
from inference.engines.triton import TritonEngine
from mediaserver.models.local_triton import TritonPorts, triton_server
from tests.support.clips import picture
from tests.support.frames import canvas_of
from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import live_server, served_by
from tests.support.triton_models import write_tiny_repository
from tests.support.waiting import eventually


async def test_sessions_fill_batches_as_a_client_does_that_only_asks(
    triton_binary: Path, tiny_models: Path, jpeg: bytes, tmp_path: Path
) -> None:
    """A model whose cost grows slower than its batch: 30 ms a run, 1 ms a frame."""
    write_tiny_repository(tmp_path, tiny_models, pose_seconds=0.03, pose_seconds_a_frame=0.001)
    async with triton_server(triton_binary, tmp_path, TritonPorts.free()) as triton:
        bare = await TritonEngine.open([triton.grpc], deadline_s=10)
        await bare.ready()
        frame = canvas_of(picture(0.0))[np.newaxis]

        async def ask() -> None:
            while True:
                await bare.infer(Task.POSE, frame)

        asking = [asyncio.create_task(ask()) for _ in range(16)]
        bare_rate, _ = await runs_of_pose(triton.grpc, 3.0)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await bare.close()
        async with contextlib.AsyncExitStack() as stack:
            live = await stack.enter_async_context(
                live_server(tiny_models, rate_hints=False, **served_by(triton))
            )
            for _ in range(8):
                await stack.enter_async_context(jpeg_client(live, jpeg, interval_s=0.03, detect=False))
            await eventually(lambda: live.metric("frames_in_flight") > 8, 30)
            rate, mean_batch = await runs_of_pose(triton.grpc, 3.0)
    assert mean_batch >= 3
    assert rate >= 0.7 * bare_rate, "0.9 and more on a machine with nothing else to do"


async def runs_of_pose(url: str, seconds: float) -> tuple[float, float]:
    """Frames a second and the mean batch, as Triton counts them."""

    async def counts() -> tuple[int, int]:
        model = (await client.get_inference_statistics(str(Task.POSE))).model_stats[0]
        return model.inference_count, model.execution_count

    async with InferenceServerClient(url) as client:
        before = await counts()
        await asyncio.sleep(seconds)
        after = await counts()
    frames, executions = after[0] - before[0], after[1] - before[1]
    return frames / seconds, frames / executions
