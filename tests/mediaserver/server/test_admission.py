from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from mediaserver.client.client import InferenceClient, Unreachable
from mediaserver.server.admission import Admission
from mediaserver.server.scoreboard import alone
from mediaserver.session.shortage import Shortage
from mediaserver.telemetry.metrics import Metrics
from tests.support.live_server import live_server


class Watch(SimpleNamespace):
    """What `Admission` asks a `mediaserver.session.load_watch.LoadWatch`."""

    is_refusing = False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def admission(node_start_s: float) -> tuple[Admission, Any]:
    [row] = alone(1).rows
    return Admission(row, Watch(), Shortage(Metrics()), node_start_s), row


def told(admits: Admission) -> tuple[str, int | None] | None:
    found = admits.refusal(comes_back=False)
    return None if found is None else (found.code, found.expected_s)


def test_a_full_fleet_that_grows_says_when_the_next_node_is_there(clock: list[float]) -> None:
    admits, row = admission(120)
    assert told(admits) is None
    row.take_place(None, 8)
    assert told(admits) == ("starting", 120)
    clock[0] += 100
    assert told(admits) == ("starting", 20)
    clock[0] += 30
    assert told(admits) == ("full", None), "it has all the nodes that it may have"
    row.free_place(None)
    assert told(admits) is None
    row.take_place(None, 8)
    assert told(admits) == ("starting", 120)


def test_one_that_does_not_grow_is_full(clock: list[float]) -> None:
    admits, row = admission(0)
    row.take_place(None, 8)
    assert told(admits) == ("full", None)


def test_the_reason_that_is_counted_stays(clock: list[float]) -> None:
    admits, row = admission(120)
    row.take_place(None, 8)
    found = admits.refusal(comes_back=False)
    assert found is not None
    assert found.reason == "full"


async def test_clients_are_told(tiny_models: Any) -> None:
    async with live_server(tiny_models, max_sessions=1, node_start_s=300) as live:
        async with InferenceClient(live.socket_url), aiohttp.ClientSession(live.http_url) as http:
            async with http.get("/ws/inference") as answer:
                assert answer.status == 503
                said = json.loads(await answer.text())
            assert (said["error"], said["retry_after_s"]) == ("starting", 10)
            assert 200 < said["expected_s"] <= 300
            async with http.get("/readyz") as answer:
                assert (await answer.json())["refusal"] == "starting"
            with pytest.raises(Unreachable, match=r"more places come in about \d+ s; try again in 10 s"):
                async with InferenceClient(live.socket_url):
                    pass
