"""Nodes on loopback addresses of this machine, or on machines of a `Lan`, with one Envoy before them, and
clients."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.engines.contract import Engine
from mediaserver.child_process import free_ports
from mediaserver.client.client import Channel, InferenceClient
from signaling.messages import Event, Result, ServerState, StateEvent
from signaling.pipeline_config import PipelineConfig
from tests.fleet.lan import Lan
from tests.support.envoy import Envoy, envoy
from tests.support.live_server import LiveServer, live_server
from tests.support.server_process import ServerProcess, server_process
from tests.support.waiting import eventually


def addresses(count: int) -> list[str]:
    """Linux has all of 127.0.0.0/8; each is the address, and the name, of one node."""
    return [f"127.0.1.{number}" for number in range(1, count + 1)]


@dataclass
class Fleet:
    """Nodes in processes of their own, by name. `start` and the processes' signals change what is there.
    ``own`` are settings of single nodes."""

    front: Envoy
    models: Path
    port: int
    settings: dict[str, Any]
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    machines: Lan | None = None
    nodes: dict[str, ServerProcess] = field(default_factory=dict)
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def start(self, *names: str) -> None:
        """Nodes of these names, in place of any before; returns when they are ready."""

        async def begin(name: str) -> None:
            runner = () if self.machines is None else self.machines.command(name)
            settings = {
                "host": name,
                "port": self.port,
                "node": name,
                **self.settings,
                **self.own.get(name, {}),
            }
            process = server_process(self.models, runner=runner, **settings)
            self.nodes[name] = await self.stack.enter_async_context(process)

        await asyncio.gather(*map(begin, names))
        self.nodes = {name: self.nodes[name] for name in sorted(self.nodes)}


@contextlib.asynccontextmanager
async def fleet(
    folder: Path,
    models: Path,
    count: int,
    machines: Lan | None = None,
    own: Sequence[Mapping[str, Any]] = (),
    **settings: Any,
) -> AsyncIterator[Fleet]:
    """So many nodes, ready, and known to Envoy; each on a machine of its own, where there are ``machines``,
    and with ``own`` settings, where there are any."""
    [port] = free_ports(1)
    names = addresses(count)
    if machines is not None:
        names = machines.addresses
        settings |= {"allow_anonymous": True, "trusted_proxies": machines.here}
    async with envoy(folder, names, port, tls=False) as front:
        made = Fleet(front, models, port, settings, dict(zip(names, own, strict=False)), machines)
        async with made.stack:
            await made.start(*names)
            await front.sees(count)
            yield made


@contextlib.asynccontextmanager
async def light_fleet(
    folder: Path,
    models: Path,
    count: int,
    wrap: Callable[[Engine], Engine] = lambda engine: engine,
    **settings: Any,
) -> AsyncIterator[tuple[Envoy, dict[str, LiveServer]]]:
    """The same in this process: many nodes, whose insides a test may see. ``wrap`` may put something around
    the engine of each, in their order."""
    [port] = free_ports(1)
    names = addresses(count)
    async with contextlib.AsyncExitStack() as stack:
        nodes = {}
        for name in names:
            node = live_server(models, wrap, host=name, port=port, node=name, **settings)
            nodes[name] = await stack.enter_async_context(node)
        front = await stack.enter_async_context(envoy(folder, names, port, tls=False))
        await front.sees(count)
        yield front, nodes


class Viewer:
    """A client that plays a clip over and over, and when its results came."""

    def __init__(self, address: str, channel: Channel) -> None:
        self.channel = channel
        self.client = InferenceClient(
            address, pipeline=PipelineConfig(pose=False), channel=channel, wait_s=10.0, on_event=self._take
        )
        self.states: list[ServerState] = []
        self.results: list[Result] = []
        self.times: list[float] = []

    @property
    def node(self) -> str:
        return self.client.welcome.node

    def _take(self, event: Event) -> None:
        if isinstance(event, StateEvent):
            self.states.append(event.state)

    async def watch(self, clip: Path) -> None:
        while True:
            async for result in self.client.stream(clip):
                self.results.append(result)
                self.times.append(time.monotonic())

    def longest_gap_s(self, since: float, until: float) -> float:
        """In which no result came, up to now."""
        times = [since, *(at for at in self.times if since < at < until), until]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


@contextlib.asynccontextmanager
async def viewers(address: str, clip: Path, channels: Sequence[Channel]) -> AsyncIterator[list[Viewer]]:
    """One on each of ``channels``, all with results. Fails where one gave up."""
    made = [Viewer(address, channel) for channel in channels]
    async with contextlib.AsyncExitStack() as stack:
        for viewer in made:
            await stack.enter_async_context(viewer.client)
        tasks = [asyncio.create_task(viewer.watch(clip)) for viewer in made]
        try:
            await eventually(lambda: all(len(viewer.results) > 3 for viewer in made), 30)
            yield made
            assert [task.exception() for task in tasks if task.done()] == []
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
