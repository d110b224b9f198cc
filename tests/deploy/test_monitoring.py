"""Alert rules in promtool, and every query of the dashboard in a real Prometheus that watches a live run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from mediaserver.child_process import free_ports, stop
from mediaserver.client.client import InferenceClient
from mediaserver.models.local_triton import TritonPorts as free_triton_ports
from mediaserver.models.local_triton import triton_server
from mediaserver.telemetry.metrics import Metrics
from tests.support.clips import write_clip
from tests.support.jpeg_client import jpeg_client
from tests.support.listening import listens
from tests.support.live_server import LiveServer, live_server, raw_socket, served_by
from tests.support.slow_engine import SlowEngine
from tests.support.triton_models import write_tiny_repository
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
ALERTS = [
    rule
    for group in yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ONLY_IN_TROUBLE = {"Frames lost", "Lost, by reason", "Runs that failed"}
"""Panels that are empty while all is well."""


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return subprocess.run(("promtool", *arguments), cwd=SHIPPED, capture_output=True, text=True, check=False)


def expressions() -> Iterator[tuple[str, str]]:
    """Each query with its panel's title, as Grafana sends it when all machines are chosen."""
    for panel in PANELS:
        for target in panel["targets"]:
            sent = target["expr"].replace("$__rate_interval", "10s").replace("$instance", ".*")
            assert "$" not in sent
            yield panel["title"], sent


# --- the files ---


@pytest.mark.parametrize(
    "arguments", ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts_test.yml"]
)
def test_promtool_has_nothing_to_say(arguments: str) -> None:
    checked = promtool(*arguments.split())
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_is_tested_and_explained(alert: dict[str, Any]) -> None:
    tested = yaml.safe_load((SHIPPED / "alerts_test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert alert["alert"] in fired
    assert f"### {alert['alert']}\n" in (ROOT / "docs" / "operate.md").read_text()
    assert alert["labels"]["severity"] in ("critical", "warning")


def test_only_metrics_that_the_server_has_are_asked_for() -> None:
    exposed = Metrics().exposition().decode()
    known = set(re.findall(r"^# HELP (\w+)", exposed, re.MULTILINE))
    texts = [sent for _, sent in expressions()] + [alert["expr"] for alert in ALERTS]
    asked = {name for text in texts for name in re.findall(r"mediaserver_\w+", text)}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} <= known


def test_panels_explain_themselves_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    assert all(panel["description"] and panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS)
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identifiers)) == len(identifiers)
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Users", "Freshness", "Models", "Machine", "Fleet"]


# --- a live run ---


class Prometheus:
    """A real one, asked over HTTP."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def get(self, path: str, **parameters: str) -> Any:
        async with self._http.get(f"/api/v1/{path}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    async def values(self, expression: str) -> list[float]:
        result = (await self.get("query", query=expression))["result"]
        return [float(series["value"][1]) for series in result]


@contextlib.asynccontextmanager
async def prometheus(folder: Path, targets: dict[str, str]) -> AsyncIterator[Prometheus]:
    """With the shipped configuration, but for other targets and a scrape each second."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    shutil.copy(SHIPPED / "alerts.yml", folder)
    text = (SHIPPED / "prometheus.yml").read_text().replace("interval: 15s", "interval: 1s")
    for shipped, here in targets.items():
        assert shipped in text
        text = text.replace(shipped, here)
    (folder / "prometheus.yml").write_text(text)
    [port] = free_ports(1)
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        await eventually(lambda: process.returncode is not None or listens(port))
        assert process.returncode is None, (folder / "prometheus.log").read_text()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            yield Prometheus(http)
    finally:
        await stop(process, timeout_s=10)


async def use(live: LiveServer, clip: Path) -> None:
    """A clip from beginning to end, a foreign page, and a browser's report."""
    async with InferenceClient(live.socket_url) as client:
        assert [result async for result in client.stream(clip)]
    async with aiohttp.ClientSession() as http:
        headers = {"Origin": "https://elsewhere.example"}
        async with http.get(f"{live.http_url}ws/inference", headers=headers) as response:
            assert response.status == 403
    async with raw_socket(live) as socket:
        await socket.send_json({"type": "hello"})
        await socket.send_json({"type": "report", "render_fps": 60, "result_age_ms": 80})
        await socket.send_json({"type": "ping", "id": 1})
        while (await socket.receive_json(timeout=5))["type"] != "pong":
            pass


async def test_every_query_of_the_dashboard_finds_something(
    triton_binary: Path, tiny_models: Path, jpeg: bytes, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "short.mp4", seconds=1, size=(320, 240))
    repository = write_tiny_repository(tmp_path / "models", tiny_models)
    async with contextlib.AsyncExitStack() as stack:
        triton = await stack.enter_async_context(
            triton_server(triton_binary, repository, free_triton_ports())
        )
        live = await stack.enter_async_context(
            live_server(tiny_models, lambda engine: SlowEngine(engine, 0.1), **served_by(triton))
        )
        targets = {
            "127.0.0.1:8080": f"127.0.0.1:{live.port}",
            "127.0.0.1:8002": triton.metrics_url.split("/")[2],
        }
        watching = await stack.enter_async_context(prometheus(tmp_path, targets))
        await use(live, clip)
        # Frames come faster than they are inferred, so that some are replaced.
        await stack.enter_async_context(jpeg_client(live, jpeg, interval_s=0.03))
        await eventually_answered(watching)
        for title, sent in expressions():
            found = await watching.values(sent)
            assert found or title in ONLY_IN_TROUBLE or "nv_gpu_" in sent, (title, sent)
        rules = [rule for group in (await watching.get("rules"))["groups"] for rule in group["rules"]]
        assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(
            (alert["alert"] for alert in ALERTS), "ok"
        )
        assert await watching.values('min(up{instance="media"})') == [1.0]
        assert await watching.values("sum(mediaserver_ready)") == [1.0]
        assert await watching.values('count(ALERTS{alertstate="firing"})') == []


async def eventually_answered(watching: Prometheus) -> None:
    """Until what is sampled each few seconds was sampled, and rates have the two points that they need."""
    awaited = (
        "mediaserver_ready == 1 and on (instance) mediaserver_pipeline_fps > 0",
        "rate(mediaserver_client_render_fps_count[10s]) >= 0",
        "rate(nv_inference_request_success[10s]) > 0",
    )
    for _ in range(150):
        if all([await watching.values(expression) for expression in awaited]):
            return
        await asyncio.sleep(0.2)
    pytest.fail("Prometheus saw no live run within 30 s")
