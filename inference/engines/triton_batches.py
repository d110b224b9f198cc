"""Counts the batches that a Triton ran, and their durations."""

from __future__ import annotations

from tritonclient.grpc.aio import InferenceServerClient

from inference.engines.contract import Task


class BatchCounts:
    """The batches of one Triton, as differences of its statistics, which count from its start."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._before: dict[tuple[Task, int], tuple[int, int]] | None = None

    async def new(self, client: InferenceServerClient) -> list[tuple[Task, int, float]]:
        """Returns task, size and mean seconds of each batch since the last call."""
        answer = await client.get_inference_statistics(client_timeout=self._timeout_s)
        now = {
            (Task(model.name), batch.batch_size): (batch.compute_infer.count, batch.compute_infer.ns)
            for model in answer.model_stats
            if model.name in set(Task)
            for batch in model.batch_stats
        }
        before, self._before = self._before, now
        if before is None:  # batches before the first call are not counted
            return []
        batches = []
        for (task, size), (count, spent_ns) in now.items():
            earlier, earlier_ns = before.get((task, size), (0, 0))
            if count < earlier:  # Triton was restarted
                earlier = earlier_ns = 0
            if count > earlier:
                seconds = (spent_ns - earlier_ns) / (count - earlier) / 1e9
                batches += [(task, size, seconds)] * (count - earlier)
        return batches
