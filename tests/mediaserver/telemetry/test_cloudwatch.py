"""``mediaserver heartbeat``, against a real server and moto's CloudWatch over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from lambdas.heartbeat import Heartbeat
from mediaserver.cli.main import main
from mediaserver.telemetry.cloudwatch import (
    INSTANCE_VARIABLE,
    METRIC,
    NAMESPACE,
    HeartbeatError,
    live_sessions,
    report,
)
from tests.support.live_server import live_server, raw_socket

pytest.importorskip("moto.server", reason="CloudWatch is moto's: pip install -e .[test]")

INSTANCE = "i-0123456789abcdef0"


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = boto3.client("cloudwatch")
    yield client
    client.close()
    server.stop()


async def test_the_functions_find_what_was_reported(
    tiny_models: Path,
    cloudwatch: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(INSTANCE_VARIABLE, INSTANCE)
    now = datetime.now(UTC)

    def last_active() -> datetime | None:
        return Heartbeat(cloudwatch).last_active(INSTANCE, now - timedelta(hours=1), now + timedelta(hours=1))

    async with live_server(tiny_models) as live:
        command = ["heartbeat", "--url", live.http_url]
        assert await asyncio.to_thread(main, command) == 0
        assert "reported 0 live sessions" in capsys.readouterr().out
        assert last_active() is None
        async with raw_socket(live) as socket:
            await socket.send_str('{"type":"hello"}')
            await socket.receive_json(timeout=5)
            assert await asyncio.to_thread(main, command) == 0
        assert "reported 1 live sessions" in capsys.readouterr().out
        assert last_active() is not None


def test_without_an_instance_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(INSTANCE_VARIABLE, raising=False)
    assert main(["heartbeat"]) == 0
    assert "HEARTBEAT_INSTANCE is not set" in capsys.readouterr().out


def test_where_no_server_answers_nothing_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unwanted(sessions: int, instance_id: str) -> None:
        raise AssertionError("a server that is down has no number of sessions")

    monkeypatch.setattr("mediaserver.cli.heartbeat.report", unwanted)
    monkeypatch.setenv(INSTANCE_VARIABLE, INSTANCE)
    monkeypatch.setenv("MEDIASERVER_PORT", "1")
    assert main(["heartbeat"]) == 1
    assert capsys.readouterr().err.startswith("mediaserver: http://127.0.0.1:1: no media server answers")


async def test_another_server_is_told_apart(cloudwatch: object) -> None:
    import os

    with pytest.raises(HeartbeatError, match=r"no media server"):
        await asyncio.to_thread(live_sessions, os.environ["AWS_ENDPOINT_URL"])


def test_a_cloud_that_refuses_is_one_line(cloudwatch: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(HeartbeatError, match="CloudWatch did not take the heartbeat: Could not connect"):
        report(1, INSTANCE)


def test_metric_and_functions_agree() -> None:
    from lambdas import heartbeat as functions

    assert (NAMESPACE, METRIC) == (functions.NAMESPACE, functions.METRIC)
