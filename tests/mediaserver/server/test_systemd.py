from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaserver.server.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The value of NOTIFY_SOCKET, and the socket behind it."""
    name = f"@mediaserver-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.settimeout(5)
        yield name, listener


def test_readiness_is_told_once_the_status_when_it_changes(systemd: tuple[str, socket.socket]) -> None:
    name, listener = systemd
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "6000000"})
    told = []
    for ready, status in ((False, "loading:\nREADY=1"), (True, "ready"), (True, "ready")):
        notifier.beat(ready=ready, status=status)
        told.append(listener.recv(1000).decode())
    notifier.stopping()
    told.append(listener.recv(1000).decode())
    assert told == [
        "WATCHDOG=1\nSTATUS=loading: READY=1",
        "WATCHDOG=1\nREADY=1\nSTATUS=ready",
        "WATCHDOG=1",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_what_systemd_did_not_hear_is_said_again(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "notify"))
    notifier.beat(ready=True, status="ready")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        notifier.beat(ready=True, status="ready")
        assert listener.recv(1000).decode() == "READY=1\nSTATUS=ready"


def test_beats_come_three_times_within_the_watchdog_s_patience() -> None:
    own = str(os.getpid())
    assert Notifier.from_environment({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": own}).interval_s == 0.5
    assert Notifier.from_environment({"WATCHDOG_USEC": "60000000"}).interval_s == 1.0


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_a_watchdog_that_is_not_this_process_s_is_not_fed(environment: dict[str, str]) -> None:
    assert Notifier.from_environment(environment).watchdog_s is None


def test_a_systemd_that_does_not_listen_is_no_error(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nobody"), 1.0).beat(ready=True, status="ready")
    Notifier().beat(ready=True, status="ready")
