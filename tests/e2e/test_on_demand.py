"""The functions that run the GPU machine and the media server on it: the real ones, over moto."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("moto", reason="the functions are tested over moto: pip install -e .[test]")

from moto import mock_aws

from lambdas.dev.api import Clock
from lambdas.dev.cloud import Cloud, settings
from lambdas.dev.ec2 import HOST_FOUND_AFTER
from lambdas.lifecycle import Outcome
from lambdas.media_server import MediaServer, Probe, ServerUnreachable
from lambdas.tokens import Audience, mint
from mediaserver.child_process import free_ports
from mediaserver.client.client import InferenceClient, Unreachable
from mediaserver.settings.types import TokenKeys
from tests.support.gateway import gateway
from tests.support.live_server import LiveServer, live_server
from tests.support.waiting import eventually

KEYS = {"k1": "an old key of more than 32 bytes!!", "k2": "a new key of more than 32 bytes!!!"}


class OnDemand:
    """A media server that is always up, and the functions that take its machine for on and off."""

    def __init__(self, live: LiveServer) -> None:
        self.live = live
        self._clock = Clock()
        self.cloud = Cloud(settings(live.http_url.rstrip("/")), KEYS, self._clock)

    def advance(self, span: timedelta) -> None:
        self._clock.advance(span)
        self.cloud.catch_up()

    async def press(self, name: str) -> dict[str, Any]:
        """Calls ``start``, ``status`` or ``stop`` as API Gateway does; ``http`` is the answer's status."""
        event = {"requestContext": {"authorizer": {"lambda": {"sub": "ada"}}}}
        answer = await asyncio.to_thread(getattr(self.cloud.handlers, name), event, None)
        return {"http": answer["statusCode"], **json.loads(answer["body"])}

    async def reap(self) -> str:
        return await asyncio.to_thread(self.cloud.handlers.reap, {}, None)


@pytest_asyncio.fixture
async def machine(tiny_models: Path) -> AsyncIterator[OnDemand]:
    """Started, and ready."""
    with mock_aws():
        async with live_server(
            tiny_models, token_keys=TokenKeys(json.dumps(KEYS)), resume_window_s=0.5
        ) as live:
            on_demand = OnDemand(live)
            await on_demand.press("start")
            on_demand.advance(HOST_FOUND_AFTER)
            yield on_demand


async def test_a_visit_from_start_to_stop(machine: OnDemand) -> None:
    started = await machine.press("start")
    assert (started["http"], started["state"]) == (200, "ready")
    async with InferenceClient(machine.live.socket_url, token=started["token"]):
        busy = await machine.press("stop")
        assert (busy["http"], busy["error"]) == (409, "in_use")
        machine.advance(machine.cloud.settings.idle + timedelta(minutes=1))
        assert await machine.reap() == Outcome.EXTENDED
        assert (await machine.press("status"))["state"] == "ready"
    await eventually(lambda: machine.live.server.sessions == 0)
    stopped = await machine.press("stop")
    assert (stopped["http"], stopped["state"], machine.cloud.state) == (202, "stopping", "stopping")
    with pytest.raises(Unreachable, match="takes no one now"):
        await InferenceClient(machine.live.socket_url, token=started["token"]).__aenter__()


async def test_an_idle_machine_is_drained_and_stopped_by_its_schedule(machine: OnDemand) -> None:
    machine.advance(machine.cloud.settings.idle)
    assert await machine.reap() == Outcome.STOPPED_IDLE
    assert machine.live.server.readiness == "draining"


async def test_a_server_that_was_drained_but_not_stopped_is_about_to_stop(machine: OnDemand) -> None:
    machine.live.server.pause(60, if_idle=True)
    assert (await machine.press("status"))["state"] == "stopping"
    machine.live.server.pause(0, if_idle=True)
    assert (await machine.press("status"))["state"] == "ready"


async def test_keys_that_differ_are_an_error_and_no_idle_machine(tiny_models: Path) -> None:
    other = TokenKeys('{"k2": "what the machine read at its boot, before"}')
    with mock_aws():
        async with live_server(tiny_models, token_keys=other) as live:
            on_demand = OnDemand(live)
            await on_demand.press("start")
            on_demand.advance(HOST_FOUND_AFTER)
            answer = await on_demand.press("stop")
            assert (answer["http"], answer["error"]) == (502, "server_failed")
            assert on_demand.cloud.state == "running"


async def test_through_nginx_a_server_is_asked_and_its_absence_is_silence(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = mint(KEYS, Audience.CONTROL, "test", datetime.now(UTC), timedelta(minutes=1))
    (nobody,) = free_ports(1)

    async def ask(port: int, folder: Path) -> tuple[Probe, int | None]:
        async with gateway(folder, [port]) as nginx:
            monkeypatch.setenv("SSL_CERT_FILE", str(nginx.certificate))
            server = MediaServer(nginx.url)
            probe = await asyncio.to_thread(server.probe)
            try:
                return probe, await asyncio.to_thread(server.drain, token, if_idle=True)
            except ServerUnreachable:
                return probe, None

    folders = [tmp_path / "with", tmp_path / "without"]
    for folder in folders:
        folder.mkdir()
    async with live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as live:
        assert await ask(live.port, folders[0]) == (Probe.READY, 0)
    assert await ask(nobody, folders[1]) == (Probe.SILENT, None)
