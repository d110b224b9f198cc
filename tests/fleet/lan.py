"""A network of machines that are namespaces, each with a cable to one switch.

    this machine (front, clients) ── bridge ─┬─ cable ── 10.215.n.1
                                             ├─ cable ── 10.215.n.2
                                             └─ …

A cable that is pulled carries nothing, and says so to nobody but its own machine: what is sent to that one is
lost without an error until the kernel finds that nobody answers for the address.
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

_HERE = 254
"""The last number of this machine's address; those before are the others'."""


class NoLan(Exception):
    """No network can be made here; the message says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Lan:
    """``count`` machines."""

    number: int
    count: int

    @property
    def here(self) -> str:
        """The address of this machine."""
        return self._address(_HERE)

    @property
    def addresses(self) -> list[str]:
        """Those of the others."""
        return [self._address(machine) for machine in range(1, self.count + 1)]

    def command(self, address: str, *arguments: str) -> list[str]:
        """What runs ``arguments`` on the machine of that address."""
        return ["ip", "netns", "exec", self._namespace(address), *arguments]

    def pull(self, address: str) -> None:
        """Its cable, out of the machine."""
        _run(f"ip -n {self._namespace(address)} link set eth down")

    def plug(self, address: str) -> None:
        """And in again."""
        _run(f"ip -n {self._namespace(address)} link set eth up")

    def reaches(self, address: str) -> bool:
        """Whether connections of that machine get here."""
        with socket.create_server((self.here, 0)) as listener:
            place = listener.getsockname()
            connect = f"import socket; socket.create_connection({place}, 2)"
            command = self.command(address, sys.executable, "-c", connect)
            return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def _address(self, machine: int) -> str:
        return f"10.215.{self.number}.{machine}"

    def _namespace(self, address: str) -> str:
        return f"msf{self.number}n{address.rpartition('.')[2]}"

    @property
    def _bridge(self) -> str:
        return f"msf{self.number}"

    def build(self) -> None:
        """Raises `subprocess.CalledProcessError` where it is not allowed."""
        bridge = self._bridge
        _run(f"ip link add {bridge} type bridge")
        _run(f"ip address add {self.here}/24 dev {bridge}")
        _run(f"ip link set {bridge} up")
        for address in self.addresses:
            namespace = self._namespace(address)
            port = f"{bridge}p{address.rpartition('.')[2]}"
            for step in (
                f"ip netns add {namespace}",
                f"ip link add {port} type veth peer name eth netns {namespace}",
                f"ip link set {port} master {bridge} up",
                f"ip -n {namespace} address add {address}/24 dev eth",
                f"ip -n {namespace} link set lo up",
                f"ip -n {namespace} link set eth up",
            ):
                _run(step)

    def remove(self) -> None:
        """Takes away what there is of it."""
        # A namespace takes its end of the cable with it, and so the other, but some time later.
        ends = [f"ip link delete {self._bridge}p{number}" for number in range(1, self.count + 1)]
        spaces = [f"ip netns delete {self._namespace(address)}" for address in self.addresses]
        for step in (*ends, f"ip link delete {self._bridge}", *spaces):
            with contextlib.suppress(subprocess.CalledProcessError):
                _run(step)


@contextlib.contextmanager
def lan(count: int) -> Iterator[Lan]:
    """So many machines. Raises `NoLan`."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        raise NoLan("it takes Linux and ip in PATH (Debian: apt-get install iproute2)")
    if os.geteuid() != 0:
        raise NoLan("it takes root to make network namespaces: run it as root, or with sudo")
    made = Lan(os.getpid() % 250 + 1, count)  # so that two runs at once do not meet
    try:
        try:
            made.build()
        except subprocess.CalledProcessError as exc:
            raise NoLan(f"no network namespace can be made: {exc.stderr.strip()}") from exc
        if not all(map(made.reaches, made.addresses)):
            raise NoLan("this machine lets nothing in from a network of its own (a firewall?)")
        yield made
    finally:
        made.remove()


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True, text=True)
