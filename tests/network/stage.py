"""A network of a test's own: the server here, a router, and the client behind it in a namespace.

    server (this namespace) ── router (tbf both ways, cuts) ── client (Python or Chromium)

The router drops without a word, as networks do: what is sent into a cut meets no error.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

QUEUE_MS = 300
"""What a bottleneck holds back of a stream that is too wide for it; the rest is dropped."""


class Carried(StrEnum):
    """What a cut is about, as iproute2 writes it."""

    ALL = "all"
    UDP = "ipproto udp"
    TCP = "ipproto tcp"


@dataclass(slots=True)
class Stage:
    """``server`` is the address to listen on. ``directory`` is for the browser's command."""

    number: int
    directory: Path
    _host: int = 2

    @property
    def server(self) -> str:
        return f"10.213.{self.number}.1"

    @property
    def client(self) -> str:
        return f"10.214.{self.number}.{self._host}"

    def command(self, *arguments: str) -> list[str]:
        """What runs ``arguments`` on the client's side."""
        return ["ip", "netns", "exec", self._client, *arguments]

    def browser(self, path: str) -> Path:
        """A command that runs the browser at ``path`` on the client's side."""
        command = self.directory / "browser"
        command.write_text(f'#!/bin/sh\nexec {" ".join(self.command(path))} "$@"\n')
        command.chmod(0o755)
        return command

    def narrow(self, *, up_kbit: int | None = None, down_kbit: int | None = None) -> None:
        """No more than so much gets through, from now on; ``None``: as much as there is."""
        for device, kbit in (("toward", up_kbit), ("from", down_kbit)):
            with contextlib.suppress(subprocess.CalledProcessError):  # there is none yet
                _run(f"tc -n {self._router} qdisc del dev {device} root")
            if kbit is not None:
                shape = f"tbf rate {kbit}kbit burst 2kb latency {QUEUE_MS}ms"
                _run(f"tc -n {self._router} qdisc add dev {device} root {shape}")

    def cut(self, carried: Carried = Carried.ALL) -> None:
        """Nothing of it gets through any more, either way."""
        for device in ("toward", "from"):
            what = "" if carried is Carried.ALL else carried
            _run(f"ip -n {self._router} rule add iif {device} {what} blackhole")

    def heal(self) -> None:
        """Ends all cuts."""
        for device in ("toward", "from"):
            with contextlib.suppress(subprocess.CalledProcessError):  # until none is left
                while True:
                    _run(f"ip -n {self._router} rule del iif {device} blackhole")

    def change(self) -> None:
        """The client loses its address and gets another one, as between two access points."""
        before, self._host = self.client, self._host + 1
        for step in (f"address del {before}/24 dev eth", f"address add {self.client}/24 dev eth"):
            _run(f"ip -n {self._client} {step}")
        _run(f"ip -n {self._client} route replace default via 10.214.{self.number}.1")

    @property
    def _router(self) -> str:
        return f"ms{self.number}router"

    @property
    def _client(self) -> str:
        return f"ms{self.number}client"

    def build(self) -> None:
        """Raises `subprocess.CalledProcessError` where it is not allowed."""
        here, router, client = f"ms{self.number}", self._router, self._client
        steps = (
            f"ip netns add {router}",
            f"ip netns add {client}",
            f"ip link add {here} type veth peer name toward netns {router}",
            f"ip -n {router} link add from type veth peer name eth netns {client}",
            f"ip address add {self.server}/24 dev {here}",
            f"ip -n {router} address add 10.213.{self.number}.2/24 dev toward",
            f"ip -n {router} address add 10.214.{self.number}.1/24 dev from",
            f"ip -n {client} address add {self.client}/24 dev eth",
            # An IPv6 address would come a second or two later. To a browser that is another network, so that
            # it drops what it is fetching (net::ERR_NETWORK_CHANGED).
            f"ip link set {here} addrgenmode none",
            *(f"ip -n {router} link set {device} addrgenmode none" for device in ("toward", "from")),
            f"ip -n {client} link set eth addrgenmode none",
            f"ip link set {here} up",
            *(f"ip -n {router} link set {device} up" for device in ("toward", "from")),
            *(f"ip -n {client} link set {device} up" for device in ("eth", "lo")),
            f"ip -n {client} route add default via 10.214.{self.number}.1",
            f"ip route add 10.214.{self.number}.0/24 via 10.213.{self.number}.2",
            f"ip netns exec {router} tee /proc/sys/net/ipv4/ip_forward",
        )
        for step in steps:
            _run(step, given="1")

    def remove(self) -> None:
        # A link of a namespace goes with it, but some time later.
        for step in (
            f"ip link delete ms{self.number}",
            *(f"ip netns delete {namespace}" for namespace in (self._client, self._router)),
        ):
            with contextlib.suppress(subprocess.CalledProcessError):
                _run(step)

    def reaches(self) -> bool:
        """Whether the client's connections get here."""
        with socket.create_server((self.server, 0)) as listener:
            port = listener.getsockname()[1]
            connect = f"import socket; socket.create_connection(('{self.server}', {port}), 2)"
            command = self.command(sys.executable, "-c", connect)
            return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextlib.contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """Skips the test where this is not allowed: it takes root, or its capability for networks."""
    for tool in ("ip", "tc"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} in PATH (Debian: apt-get install iproute2)")
    made = Stage(os.getpid() % 250 + 1, directory)  # so that two runs at once do not meet
    try:
        try:
            made.build()
        except subprocess.CalledProcessError as exc:
            pytest.skip(f"no network namespace can be made: {exc.stderr.strip()}")
        if not made.reaches():
            pytest.skip("this machine lets nothing in from a network of its own (a firewall?)")
        yield made
    finally:
        made.remove()


def _run(command: str, given: str = "") -> None:
    subprocess.run(command.split(), check=True, capture_output=True, text=True, input=given)
