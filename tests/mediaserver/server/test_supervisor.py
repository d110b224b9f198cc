"""A supervisor and its workers in processes of their own; what workers do is a few lines of Python here."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

BEATS = "while True:\n        row.beat(); row.ready = True; time.sleep(0.02)"

PROGRAM = """
import logging, os, signal, sys, time
from mediaserver.server import scoreboard, supervisor
from mediaserver.telemetry import logs
from mediaserver.server.systemd import Notifier

supervisor._FIRST_PAUSE_S = 0.02
supervisor._STOP_TIMEOUT_S = 1.0
drain_s = 0.0

{before}
def work(row):
    {work}

logs.configure("info", "json")
with scoreboard.shared(2, 2) as board:
    told = lambda worker: print("ended", worker, board.sessions, flush=True)
    sys.exit(supervisor.Supervisor(board, work, told, Notifier.from_environment(os.environ), drain_s).run())
"""


class Running:
    """A supervisor, and what it has logged."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    def lines(self, message: str) -> list[dict[str, object]]:
        found = [json.loads(line) for line in self._log.read_text().splitlines() if line.endswith("}")]
        return [line for line in found if line["message"] == message]

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def until(self, message: str, count: int = 1) -> dict[str, object]:
        deadline = time.monotonic() + 20
        while len(lines := self.lines(message)) < count:
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)
        return lines[count - 1]


@contextlib.contextmanager
def running(folder: Path, work: str, before: str = "", **environment: str) -> Iterator[Running]:
    log = folder / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(work=work, before=before)],
            env=os.environ | environment,
            stderr=stderr,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that nothing is left, whatever fails
        )
    supervisor = Running(process, log)
    try:
        yield supervisor
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


def test_a_worker_that_is_killed_comes_back_and_the_other_never_notices(tmp_path: Path) -> None:
    with running(tmp_path, f"row.begin_session()\n    {BEATS}") as supervisor:
        supervisor.until("worker started", 2)
        victim, other = supervisor.workers()
        victim.kill()
        ended = supervisor.until("worker ended, starting it again")
        assert (ended["worker"], ended["pid"], ended["by"]) == (0, victim.pid, "SIGKILL")
        assert supervisor.until("worker started", 3)["worker"] == 0
        assert other.is_running()
        supervisor.process.terminate()
        words = supervisor.process.communicate(timeout=20)[0]
        assert words.splitlines()[0] == "ended 0 1", "its session is counted no more, the other one is"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_and_the_status_is_0(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, BEATS) as supervisor:
        supervisor.until("worker started", 2)
        workers = supervisor.workers()
        supervisor.process.send_signal(number)
        assert supervisor.process.wait(20) == 0
        assert gone(workers)
        assert supervisor.until("stopping")["signal"] == number.name


def test_a_worker_that_does_not_hear_the_signal_is_killed_in_the_end(tmp_path: Path) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); logging.info('deaf')"
    with running(tmp_path, f"{deaf}\n    {BEATS}") as supervisor:
        supervisor.until("deaf", 2)
        workers = supervisor.workers()
        supervisor.process.terminate()
        assert supervisor.process.wait(20) == 0
        assert gone(workers)
        assert supervisor.lines("workers did not end within 1 s, killed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_is_sent_again_while_workers_end_changes_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    slow = "signal.signal(signal.SIGTERM, signal.SIG_IGN); logging.info('deaf')"
    with running(tmp_path, f"{slow}\n    {BEATS}") as supervisor:
        supervisor.until("deaf", 2)
        supervisor.process.send_signal(number)
        supervisor.until("stopping")
        supervisor.process.send_signal(number)
        assert supervisor.process.wait(20) == 0


DRAINS = """
drain_s = 60.0
def leaves(row):
    signal.signal(signal.SIGTERM, lambda *_: logging.info("asked"))
    while row.board.ends_at is None or row.worker == 1:
        row.beat(); row.ready = True; time.sleep(0.02)
    return 0
"""
"""The first worker ends when it is asked to, as one whose sessions are over; the second has some."""


def test_workers_end_each_when_its_sessions_have_and_none_is_started_again(tmp_path: Path) -> None:
    with running(tmp_path, "return leaves(row)", DRAINS) as supervisor:
        supervisor.until("worker started", 2)
        supervisor.process.terminate()
        supervisor.until("asked", 2)
        assert supervisor.until("worker ended")["worker"] == 0
        assert supervisor.process.poll() is None
        assert len(supervisor.workers()) == 1
        supervisor.process.terminate()
        supervisor.until("stopping")
        assert supervisor.process.wait(20) == 0, "who asks again does not want to wait"
        assert len(supervisor.lines("worker started")) == 2


def test_it_ends_when_all_workers_have_drained(tmp_path: Path) -> None:
    with running(tmp_path, "row.worker = 0; return leaves(row)", DRAINS) as supervisor:
        supervisor.until("worker started", 2)
        supervisor.process.terminate()
        assert supervisor.process.wait(20) == 0
        assert supervisor.lines("stopping") == []


def test_ctrl_c_waits_for_nobody(tmp_path: Path) -> None:
    with running(tmp_path, "return leaves(row)", DRAINS) as supervisor:
        supervisor.until("worker started", 2)
        supervisor.process.send_signal(signal.SIGINT)
        supervisor.until("stopping")
        assert supervisor.process.wait(20) == 0


def test_it_gives_up_when_a_worker_fails_at_once_again_and_again(tmp_path: Path) -> None:
    work = f"if row.worker == 1: raise ValueError('no such thing')\n    {BEATS}"
    with running(tmp_path, work) as supervisor:
        assert supervisor.process.wait(20) == 1
        assert len(supervisor.lines("worker failed")) == 5
        pauses = [line["pause_s"] for line in supervisor.lines("worker ended, starting it again")]
        assert pauses == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32])
        assert supervisor.lines("giving up: a worker failed at once 5 times in a row")


FORKS_FAIL_AFTER_TWO = """
supervisor._FORK_PAUSE_S = 0.05
real_fork, forks = os.fork, []
def fork():
    forks.append(None)
    if 3 <= len(forks) <= 9:
        raise OSError(11, "Resource temporarily unavailable")
    return real_fork()
os.fork = fork
"""


def test_a_machine_that_has_no_process_to_give_costs_no_other_worker(tmp_path: Path) -> None:
    with running(tmp_path, BEATS, FORKS_FAIL_AFTER_TWO) as supervisor:
        supervisor.until("worker started", 2)
        victim, other = supervisor.workers()
        victim.kill()
        supervisor.until("no worker could be started: Resource temporarily unavailable", 7)
        supervisor.until("worker started", 3)
        assert other.is_running()


def test_a_worker_that_is_slow_to_begin_is_not_taken_for_hung(tmp_path: Path) -> None:
    slow = "time.sleep(2.5); logging.info('begun')"
    with running(tmp_path, f"{slow}\n    {BEATS}", WATCHDOG_USEC="1000000") as supervisor:
        supervisor.until("begun", 2)
        assert supervisor.lines("worker hangs, killed") == []


def test_workers_do_not_outlive_a_supervisor_that_crashes(tmp_path: Path) -> None:
    with running(tmp_path, BEATS) as supervisor:
        supervisor.until("worker started", 2)
        workers = supervisor.workers()
        supervisor.process.kill()
        assert gone(workers)


def test_a_worker_whose_loop_stands_still_is_replaced_and_the_watchdog_is_fed_all_along(
    tmp_path: Path,
) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(10)
        with running(tmp_path, BEATS, NOTIFY_SOCKET=address, WATCHDOG_USEC="3000000") as supervisor:
            told = ""
            while "READY=1" not in told:
                told += systemd.recv(1000).decode() + "\n"
            assert "STATUS=2 of 2 workers ready, 0 sessions" in told
            hung, other = supervisor.workers()
            hung.suspend()
            quiet_s = 0.0
            suspended = heard = time.monotonic()
            while not supervisor.lines("worker ended, starting it again"):
                assert "WATCHDOG=1" in systemd.recv(1000).decode()
                quiet_s, heard = max(quiet_s, time.monotonic() - heard), time.monotonic()
                assert heard < suspended + 20
            assert quiet_s < 3.0
            assert supervisor.lines("worker hangs, killed")[0]["worker"] == 0
            supervisor.until("worker started", 3)
            assert other.is_running()


def test_a_standstill_of_the_whole_machine_kills_no_worker(tmp_path: Path) -> None:
    """As Ctrl-Z does, or a container that is paused."""
    with running(tmp_path, BEATS, WATCHDOG_USEC="3000000") as supervisor:
        supervisor.until("worker started", 2)
        workers = supervisor.workers()
        for process in (*workers, psutil.Process(supervisor.process.pid)):
            process.suspend()
        time.sleep(3.2)
        psutil.Process(supervisor.process.pid).resume()
        time.sleep(0.3)
        for process in workers:
            process.resume()
        time.sleep(1.5)
        assert supervisor.lines("worker hangs, killed") == []
        assert supervisor.workers() == workers
