"""``make demo-fleet`` as its user meets it: in a terminal, by a script, and where it cannot run."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.fleet.__main__ import BadScript, main, parse
from tests.fleet.lan import NoLan, lan
from tests.fleet.show import Action
from tests.support import envoy

COMMAND = (sys.executable, "-m", "tests.fleet")


@pytest.fixture
def stage_is_allowed() -> None:
    envoy.binary()
    try:
        with lan(1):
            pass
    except NoLan as exc:
        pytest.skip(str(exc))


def test_a_script_is_read_step_by_step() -> None:
    steps = [(Action.KILL, 2), (Action.WAIT, 1.5), (Action.FRONT, None), (Action.START, 2)]
    assert parse("kill 2; wait 1.5;front ; start 2;") == steps
    for wrong in (
        "kil 2",
        "kill",
        "kill 4",
        "kill 1.5",
        "kill two",
        "front 1",
        "wait",
        "wait -1",
        "wait nan",
        "kill 1 2",
    ):
        with pytest.raises(BadScript, match=f"not a step: {wrong}"):
            parse(wrong)


def test_who_may_not_make_networks_is_told_what_would_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    envoy.binary()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", ["demo-fleet", "--script", "wait 1"])
    assert main() == 2
    assert "run it as root" in capsys.readouterr().err


@pytest.mark.usefixtures("stage_is_allowed")
def test_a_script_kills_and_drains_and_says_what_became_of_the_clients() -> None:
    script = "kill 1; wait 6; start 1; fill 2; wait 6; drain 3; wait 15; empty 2"
    done = subprocess.run(
        (*COMMAND, "--script", script), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        r"node 1 is killed under [A-J ]+\n",
        r"[A-J] from node 1 to node [23], a new session",
        r"node 1 starts",
        r"node 2: full",
        r"node 3: drains",
        r"[A-J] from node 3 to node 1, a new session",
        r"node 1 is killed under [A-J ]+: no result for \d+ ms at most",
        r"without results: nobody",
    ):
        assert re.search(words, done.stdout), (words, done.stdout)


def read_until(terminal: int, shown: Callable[[str], bool], timeout_s: float) -> str:
    """What the terminal shows, without colours."""
    text, deadline = "", time.monotonic() + timeout_s
    while not shown(plain := re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)):
        assert time.monotonic() < deadline, plain[-3000:]
        if select.select([terminal], [], [], 0.5)[0]:
            text += os.read(terminal, 65536).decode(errors="replace")
    return plain


@pytest.mark.usefixtures("stage_is_allowed")
def test_keys_choose_a_node_and_kill_it_and_the_terminal_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        COMMAND,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "50"},
    )
    try:
        os.close(theirs)
        read_until(ours, lambda text: "q quit" in text, 120)
        os.write(ours, b"2k")
        read_until(ours, lambda text: "node 2 is killed under" in text and "from node 2 to node" in text, 30)
        os.write(ours, b"q")
        read_until(ours, lambda text: "without results:" in text, 60)
        assert process.wait(60) == 0
        left = subprocess.run(("ip", "netns"), capture_output=True, text=True, check=True).stdout
        assert f"msf{process.pid % 250 + 1}n" not in left
    finally:
        process.terminate()
        os.close(ours)
        process.wait(60)
