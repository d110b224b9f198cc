"""A machine that boots: a Debian tree under systemd-nspawn, with a real systemd as its first process.

It has this machine's network and kernel, and nothing else of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

_BOOT_TIMEOUT_S = 60.0
_OFF_TIMEOUT_S = 60.0
_CGROUPS = Path("/sys/fs/cgroup")


class DidNotBoot(Exception):
    """The message says what came of it."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A Debian in a folder, and the folders of this machine that it sees: its path there by the path here."""

    root: Path
    shared: Mapping[Path, str]

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """A command in the tree while it is not booted; its output. Fails the test with the output."""
        return _checked((*self._nspawn("--quiet", environment=environment), *command))

    @contextlib.contextmanager
    def booted(self, *, volatile: bool = False) -> Iterator[Machine]:
        """Off again on leaving, whatever happened. What a volatile one writes stays in memory and is gone.

        Raises `DidNotBoot`.
        """
        options = ("--volatile=overlay", "--boot") if volatile else ("--boot",)
        log = self.root.with_suffix(".console")
        with log.open("wb") as console:
            # Should this process be killed, the machine goes down, too.
            process = subprocess.Popen(
                ("setpriv", "--pdeathsig", "TERM", *self._nspawn(*options)), stdout=console, stderr=console
            )
        try:
            yield _first_process(process, log)
        finally:
            process.terminate()  # it powers the machine off
            try:
                process.wait(_OFF_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.terminate()  # the second time it kills it
                process.wait(_OFF_TIMEOUT_S)
            _remove_cgroups()

    def _nspawn(self, *options: str, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
        return (
            *(
                "systemd-nspawn",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
                "--directory",
                str(self.root),
            ),
            *(f"--bind-ro={here}:{there}" for here, there in self.shared.items()),
            *(f"--setenv={name}={value}" for name, value in (environment or {}).items()),
            *options,
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """One that has booted. ``leader`` is its first process, as this machine numbers it."""

    leader: int

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """A command on the machine, as root; its output. Fails the test with the output."""
        given = tuple(f"{name}={value}" for name, value in (environment or {}).items())
        inside = ("nsenter", "--target", str(self.leader), "--all", "env", "--chdir=/", *given)
        return _checked((*inside, *command))

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, as systemd tells it."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def journal(self, unit: str) -> str:
        """What the unit, and systemd about it, have written since the boot."""
        return self.run("journalctl", "--no-pager", "--boot", "--unit", unit)


def wait_for(what: Callable[[], T], timeout_s: float, words: Callable[[], str]) -> T:
    """The first true value of ``what``; fails the test with ``words`` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := what()):
        assert time.monotonic() < deadline, words()
        time.sleep(0.1)
    return value


def _first_process(process: subprocess.Popen[bytes], log: Path) -> Machine:
    deadline = time.monotonic() + _BOOT_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children():
            machine = Machine(child.pid)
            with contextlib.suppress(AssertionError, psutil.NoSuchProcess):
                # What it starts, and whether that succeeds, is for tests to see.
                machine.run("systemctl", "is-active", "basic.target")
                return machine
        time.sleep(0.1)
    raise DidNotBoot(log.read_text(errors="replace").strip()[-500:] or "it says nothing")


def _remove_cgroups() -> None:
    """Those that systemd-nspawn makes where no systemd of this machine does it. Of a machine that still runs
    they cannot be removed; of one that has ended the kernel needs a moment to let them go.
    """
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        found = [
            top
            for pattern in ("payload", "supervisor")
            for top in (*_CGROUPS.glob(pattern), *_CGROUPS.glob(f"*/{pattern}"))
        ]
        if not found:
            return
        for top in found:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        time.sleep(0.05)


def _checked(command: tuple[str, ...]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout[-3000:]}"
    return done.stdout


def missing() -> str | None:
    """Why this machine can boot no other one, or ``None``."""
    if os.geteuid() != 0:
        return "only root can boot a machine"
    absent = [name for name in ("debootstrap", "systemd-nspawn", "nsenter") if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None
