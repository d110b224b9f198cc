"""What was installed goes without a trace, and takes nothing else along.

Apart from the other tests: this machine could not have the ports of one that still runs.
"""

from __future__ import annotations

import pytest

from tests.boot.conftest import INSTALL, SERVER, Installed, wait_until_active

pytestmark = pytest.mark.boot

UNINSTALL = INSTALL[0].replace("install.sh", "uninstall.sh")


def test_what_was_installed_can_be_taken_away(installed: Installed) -> None:
    with installed.tree.booted(volatile=True) as machine:
        wait_until_active(machine)
        machine.run(UNINSTALL)
        assert machine.show(SERVER, "LoadState") == "not-found"
        assert machine.show("nginx.service", "ActiveState") == "active"
        assert "TOKEN_KEYS" in machine.run("cat", "/etc/mediaserver/mediaserver.env")
        assert "detect" in machine.run("ls", "/var/lib/mediaserver/triton")
        machine.run(UNINSTALL, "--purge")
        assert machine.run("find", "/etc", "/opt", "/var/lib", "-iname", "*mediaserver*") == ""
        assert "mediaserver" not in machine.run("cat", "/etc/passwd")
