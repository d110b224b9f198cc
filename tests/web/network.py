"""A network of a test's own: a namespace with one link to this one, whose address can change."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.web.browser import chromium_path


@dataclass(slots=True)
class Network:
    """``server`` is the address of this side, ``browser`` starts Chromium on the other."""

    name: str
    server: str
    browser: Path
    _host: int = 2

    def change(self) -> None:
        """The other side loses its address and gets another one, as between two access points."""
        for step in (f"del {self._address}/24", f"add {self._replace()}/24"):
            _ip(f"netns exec {self.name} ip address {step} dev {self.name}b")

    @property
    def _address(self) -> str:
        return f"{self.server.rpartition('.')[0]}.{self._host}"

    def _replace(self) -> str:
        self._host += 1
        return self._address


@contextlib.contextmanager
def network(directory: Path) -> Iterator[Network]:
    """Skips the test where this is not allowed: it takes root, or its capability for networks."""
    number = os.getpid() % 250 + 1  # so that two runs at once do not meet
    name = f"ms{number}"
    browser = directory / "chromium"
    browser.write_text(f'#!/bin/sh\nexec ip netns exec {name} "{chromium_path()}" "$@"\n')
    browser.chmod(0o755)
    if shutil.which("ip") is None:
        pytest.skip("no ip in PATH (Debian: apt-get install iproute2)")
    try:
        _ip(f"netns add {name}")
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"no network namespace can be made: {exc.stderr.strip()}")
    try:
        made = Network(name, f"10.213.{number}.1", browser)
        _ip(f"link add {name}a type veth peer name {name}b netns {name}")
        _ip(f"address add {made.server}/24 dev {name}a")
        _ip(f"link set {name}a up")
        for setup in (
            f"address add {made._address}/24 dev {name}b",
            f"link set {name}b up",
            "link set lo up",
        ):
            _ip(f"netns exec {name} ip {setup}")
        if not _reached_from(made):
            pytest.skip("this machine lets nothing in from a network of its own (a firewall?)")
        yield made
    finally:
        _ip(f"netns delete {name}")


def _reached_from(made: Network) -> bool:
    with socket.create_server((made.server, 0)) as listener:
        connect = (
            f"import socket; socket.create_connection(('{made.server}', {listener.getsockname()[1]}), 2)"
        )
        command = ["ip", "netns", "exec", made.name, sys.executable, "-c", connect]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True)
