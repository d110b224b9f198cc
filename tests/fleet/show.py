"""What can be done to a fleet while clients watch, and what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp

from mediaserver.client.client import Channel
from tests.fleet.lan import Lan
from tests.fleet.stage import Fleet, Viewer
from tests.support.server_process import ServerProcess

_FRONT_AWAY_S = 10.0
_LOOK_S = 0.5


class Action(StrEnum):
    """What a key or a step of a script does; all but the last two to one node."""

    KILL = "kill"
    DRAIN = "drain"
    FILL = "fill"
    EMPTY = "empty"
    PULL = "pull"
    PLUG = "plug"
    START = "start"
    FRONT = "front"
    WAIT = "wait"


class State(StrEnum):
    """Of a node, as it is seen from here."""

    STARTING = "starts"
    READY = "ready"
    FULL = "full"
    DRAINING = "drains"
    GONE = "gone"
    CUT = "cable pulled"


@dataclass(slots=True)
class Node:
    """``number`` is what people call it. ``load`` is what it says itself."""

    number: int
    name: str
    state: State = State.READY
    load: float = 0.0
    crowd: list[asyncio.Task[None]] = field(default_factory=list)
    """Clients that send nothing and take places."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done, and who was on the node then; if it was done to the front, whose results do
    not pass it."""

    words: str
    at: float
    hit: list[Viewer]


class Show:
    """``tell`` gets a line for people for each thing that happens. Use `running`."""

    def __init__(
        self, fleet: Fleet, machines: Lan, watching: list[Viewer], tell: Callable[[str], None]
    ) -> None:
        self.viewers = watching
        self.nodes = [Node(number, name) for number, name in enumerate(fleet.nodes, start=1)]
        self.deeds: list[Deed] = []
        self.is_front_there = True
        self._fleet = fleet
        self._machines = machines
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks at the nodes meanwhile; leaves nothing of the crowd behind."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as http:
            for node in self.nodes:
                self._begin(self._look(http, node))
            for viewer in self.viewers:
                self._begin(self._follow(viewer))
            try:
                yield
            finally:
                tasks = [*self._tasks, *(task for node in self.nodes for task in node.crowd)]
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    def name_of(self, viewer: Viewer) -> str:
        """A letter."""
        return chr(ord("A") + self.viewers.index(viewer))

    def number_of(self, name: str) -> int:
        """Of the node with that name."""
        return next(node.number for node in self.nodes if node.name == name)

    def on(self, node: Node) -> list[Viewer]:
        """Who is served there, as far as they know."""
        return [viewer for viewer in self.viewers if viewer.node == node.name]

    def longest_gap_s(self, deed: Deed) -> float:
        """In which one of those who were hit had no result, until the next deed."""
        later = [each.at for each in self.deeds if each.at > deed.at]
        until = min(later, default=time.monotonic())
        return max((viewer.longest_gap_s(deed.at, until) for viewer in deed.hit), default=0.0)

    def do(self, action: Action, node: Node) -> None:
        """Begins it. What takes its time goes on by itself."""
        match action:
            case Action.KILL:
                self._signal(node, signal.SIGKILL, "is killed")
            case Action.DRAIN:
                self._signal(node, signal.SIGTERM, "drains")
            case Action.START:
                self._start(node)
            case Action.FILL:
                self._fill(node)
            case Action.EMPTY:
                self._empty(node)
            case Action.PULL | Action.PLUG:
                self._move_cable(node, action)

    def take_front_away(self) -> None:
        """For ten seconds. Results over data channels pass no front."""
        if self.is_front_there:
            spared = [viewer for viewer in self.viewers if viewer.channel is Channel.DATACHANNEL]
            self._note(f"the front is away for {_FRONT_AWAY_S:g} s", spared)
            self.is_front_there = False
            self._begin(self._front_away())

    def _signal(self, node: Node, number: signal.Signals, words: str) -> None:
        process = self._fleet.nodes[node.name].process
        if process.returncode is None:
            self._note(f"node {node.number} {words}", self.on(node))
            process.send_signal(number)

    def _start(self, node: Node) -> None:
        if self._fleet.nodes[node.name].process.returncode is not None and node.state is not State.STARTING:
            self._note(f"node {node.number} starts", [])
            node.state = State.STARTING
            self._begin(self._fleet.start(node.name))

    def _fill(self, node: Node) -> None:
        self._note(f"node {node.number} is filled", [])
        places = int(self._fleet.settings["max_sessions"]) - len(self.on(node)) - len(node.crowd)
        node.crowd += [asyncio.create_task(self._crowd(node)) for _ in range(places)]

    def _empty(self, node: Node) -> None:
        self._note(f"the crowd leaves node {node.number}", [])
        for task in node.crowd:
            task.cancel()
        self._tasks.update(node.crowd)
        node.crowd.clear()

    def _move_cable(self, node: Node, action: Action) -> None:
        is_pulled = action is Action.PULL
        self._note(
            f"node {node.number}: its cable is {'pulled' if is_pulled else 'plugged in'}",
            self.on(node) if is_pulled else [],
        )
        (self._machines.pull if is_pulled else self._machines.plug)(node.name)
        node.state = State.CUT if is_pulled else State.STARTING

    def _note(self, words: str, hit: list[Viewer]) -> None:
        self.deeds.append(Deed(words, time.monotonic(), list(hit)))
        letters = " ".join(map(self.name_of, hit))
        self._tell(words + (f" under {letters}" if hit else ""))

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _front_away(self) -> None:
        await self._fleet.front.kill()
        await asyncio.sleep(_FRONT_AWAY_S)
        await self._fleet.front.start()
        self.is_front_there = True
        self._tell("the front is back")

    async def _crowd(self, node: Node) -> None:
        """Takes a place and keeps it, by no way but the node's own address."""
        address = f"ws://{node.name}:{self._fleet.port}/ws/inference"
        async with aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.ws_connect(address) as socket:
                        await socket.send_json({"type": "hello", "channel": "websocket"})
                        async for _ in socket:
                            pass
                await asyncio.sleep(1.0)

    async def _look(self, http: aiohttp.ClientSession, node: Node) -> None:
        while True:
            process = self._fleet.nodes[node.name]
            if node.state is not State.CUT:
                before, node.state = node.state, await self._state(http, node, process)
                if before is not node.state:
                    self._tell(f"node {node.number}: {node.state}")
            await asyncio.sleep(_LOOK_S)

    async def _state(self, http: aiohttp.ClientSession, node: Node, process: ServerProcess) -> State:
        if process.process.returncode is not None:
            node.load = 0.0
            return State.STARTING if node.state is State.STARTING else State.GONE
        try:
            async with http.get(f"http://{node.name}:{self._fleet.port}/readyz") as answer:
                said = await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            return State.STARTING if node.state is State.STARTING else State.GONE
        node.load = said["load"]
        if said["refusal"] == "draining":
            return State.DRAINING
        if said["refusal"] == "full":
            return State.FULL
        return State.READY if said["ready"] else State.STARTING

    async def _follow(self, viewer: Viewer) -> None:
        """Tells where a client goes."""
        node, session = viewer.node, viewer.client.welcome.session
        while True:
            await asyncio.sleep(0.05)
            welcome = viewer.client.welcome
            if (welcome.node, welcome.session) != (node, session):
                what = "the same session" if welcome.resumed else "a new session"
                where = f"from node {self.number_of(node)} to node {self.number_of(welcome.node)}"
                self._tell(f"{self.name_of(viewer)} {where}, {what}")
                node, session = welcome.node, welcome.session
