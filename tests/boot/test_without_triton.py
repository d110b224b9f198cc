"""A machine without Triton: an operator turns it into one by a setting and the installer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.conftest import INSTALL, MODELS, OFFLINE, SERVER, Installed, visited, wait_until_active
from tests.boot.machine import wait_for
from tests.boot.visitor import replay

pytestmark = pytest.mark.boot

SETTINGS = r"MEDIASERVER_ENGINE=embedded\nMEDIASERVER_WORKERS=2\n"
EDIT = (
    f"cp {MODELS}/*.onnx /var/lib/mediaserver/models; printf '{SETTINGS}' >>/etc/mediaserver/mediaserver.env"
)


def test_the_embedded_engine_runs_in_the_sandbox_too(installed: Installed, clip: Path) -> None:
    with installed.tree.booted(volatile=True) as machine:
        running = visited(installed, machine)
        wait_until_active(machine)
        pid = machine.show(SERVER, "MainPID")
        machine.run("sh", "-c", EDIT)
        machine.run(INSTALL[0], environment=OFFLINE)
        assert machine.show("triton.service", "UnitFileState") == "disabled"
        assert machine.show("triton.service", "ActiveState") == "inactive"
        wait_for(
            lambda: machine.show(SERVER, "MainPID") not in (pid, "0"), 30, lambda: machine.journal(SERVER)
        )
        wait_until_active(machine)
        assert "2 of 2 workers ready" in machine.show(SERVER, "StatusText")
        assert int(str(replay(running, clip)["results"])) > 10
