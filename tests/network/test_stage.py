"""The stage itself: what it lets through, and how fast."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network.stage import Carried, Stage, stage

PIECE = 1000


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as made:
        yield made


def heard(link: Stage, pieces: int, pause_s: float) -> list[float]:
    """When datagrams of a kilobyte came, in seconds since the first; so many are sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind((link.server, 0))
        here.settimeout(1.0)
        program = (
            "import socket, sys, time\n"
            "there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"for _ in range({pieces}):\n"
            f"    there.sendto(bytes({PIECE}), ('{link.server}', {here.getsockname()[1]}))\n"
            f"    time.sleep({pause_s})\n"
        )
        with subprocess.Popen(link.command(sys.executable, "-c", program)):
            times = []
            try:
                while True:
                    here.recv(2 * PIECE)
                    times.append(time.monotonic())
            except TimeoutError:
                return [each - times[0] for each in times]


def test_a_bottleneck_has_its_rate_and_a_queue_that_ends(link: Stage) -> None:
    link.narrow(up_kbit=80)
    times = heard(link, 100, 0.01)
    assert 10 < len(times) < 40, "a second of what it carries is sent eight times"
    rate_kbit = (len(times) - 1) * (PIECE + 42) * 8 / times[-1] / 1000
    assert 60 < rate_kbit < 110
    link.narrow()
    assert len(heard(link, 50, 0.001)) == 50


def test_a_cut_is_of_one_protocol_or_of_all_and_heals(link: Stage) -> None:
    for carried, tcp, udp in ((Carried.UDP, True, 0), (Carried.TCP, False, 10), (Carried.ALL, False, 0)):
        link.cut(carried)
        assert link.reaches() is tcp
        assert len(heard(link, 10, 0.0)) == udp
        link.heal()
    assert link.reaches()


def test_a_client_that_moves_has_another_address(link: Stage) -> None:
    before = link.client
    link.change()
    assert link.client != before
    assert link.reaches()
    addresses = json.loads(
        subprocess.check_output(link.command("ip", "-json", "-4", "address", "show", "dev", "eth"))
    )
    assert [each["local"] for each in addresses[0]["addr_info"]] == [link.client]
