"""What cloud-init writes onto the machine, run in a folder that stands for it, with a source of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import yaml

pytest.importorskip("cfnlint", reason="the template is read with cfn-lint: pip install -e .[test]")

from tests.deploy.template import load, resource

BOOT = """#!/bin/sh
echo "booted from $(sed -n s/^SOURCE_REF=//p "$1")" >>"$BOOTED"
"""


@pytest.fixture(scope="module")
def boot_script() -> str:
    """With the template's references still in it."""
    data = resource(load(), "MachineTemplate")["LaunchTemplateData"]
    user_data = data["UserData"]["Fn::Base64"]["Fn::Sub"]
    assert user_data.startswith("#cloud-config\n")
    (file,) = yaml.safe_load(user_data)["write_files"]
    assert file["path"].startswith("/var/lib/cloud/scripts/per-boot/")
    assert file["permissions"] == "0755"
    script: str = file["content"]
    return script


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository whose boot says so, and the tag v1."""
    repository = tmp_path / "source"
    script = repository / "deploy" / "aws" / "boot.sh"
    script.parent.mkdir(parents=True)
    script.write_text(BOOT)
    script.chmod(0o755)
    git(repository, "init", "--quiet")
    commit(repository, "v1")
    return repository


def commit(repository: Path, tag: str) -> None:
    git(repository, "add", ".")
    git(
        repository,
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t",
        "commit",
        "--allow-empty",
        "--quiet",
        "--message=x",
    )
    git(repository, "-c", "user.name=t", "-c", "user.email=t@t", "tag", "--annotate", "--message=1", tag)


def git(repository: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", repository, *words], capture_output=True, check=True).stdout


def checksum(source: Path, ref: str) -> str:
    archive = git(source, "-c", "tar.umask=0022", "archive", "--format=tar", f"{ref}^{{commit}}")
    return hashlib.sha256(archive).hexdigest()


class Machine:
    """A folder with a command line of AWS that knows the stack's parameter."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._booted = folder / "booted"
        self._parameter = folder / "parameter"
        for name in ("opt", "etc", "bin"):
            (folder / name).mkdir(parents=True)
        for name, text in (("aws", f'cat "{self._parameter}"'), ("sleep", "exit 0")):
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / "bin" / name).chmod(0o755)
        for place, value in (
            ("/etc/mediaserver", f"{folder}/etc/mediaserver"),
            ("/opt/mediaserver-source", f"{folder}/opt/source"),
            ("/var/log/mediaserver-boot.log", str(self.log)),
            ("/run/mediaserver-boot.lock", f"{folder}/lock"),
        ):
            script = script.replace(place, value)
        self._script = script

    def told(self, source: Path, ref: str, digest: str) -> None:
        """The stack's parameter says this."""
        self._parameter.write_text(
            f"SOURCE_URL={source.as_uri()}\nSOURCE_REF={ref}\nSOURCE_SHA256={digest}\n"
        )

    def cut_off(self) -> None:
        """AWS cannot be asked."""
        self._parameter.unlink()

    def boot(self) -> int:
        environment = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "BOOTED": str(self._booted)}
        return subprocess.run(
            ["bash"], input=self._script, text=True, check=False, env=environment
        ).returncode

    @property
    def boots(self) -> list[str]:
        return self._booted.read_text().splitlines() if self._booted.exists() else []


@pytest.fixture
def machine(tmp_path: Path, boot_script: str) -> Machine:
    return Machine(tmp_path / "machine", boot_script)


def test_the_machine_runs_the_very_source_that_the_operator_has_seen(machine: Machine, source: Path) -> None:
    commit_id = git(source, "rev-parse", "HEAD").decode().strip()
    for ref in ("v1", commit_id):
        machine.told(source, ref, checksum(source, ref))
        assert machine.boot() == 0, machine.log.read_text()
    assert machine.boots == ["booted from v1", f"booted from {commit_id}"]


def test_a_source_that_has_changed_is_not_run(machine: Machine, source: Path) -> None:
    machine.told(source, "v1", "0" * 64)
    assert machine.boot() != 0
    assert "did NOT match" in machine.log.read_text()
    assert machine.boots == []
    assert not (machine.folder / "opt" / "source").exists()


def test_the_next_boot_takes_a_new_source(machine: Machine, source: Path) -> None:
    machine.told(source, "v1", checksum(source, "v1"))
    machine.boot()
    (source / "news").write_text("news")
    commit(source, "v2")
    machine.told(source, "v2", checksum(source, "v2"))
    assert machine.boot() == 0, machine.log.read_text()
    assert machine.boots[-1] == "booted from v2"
    assert (machine.folder / "opt" / "source" / "news").exists()


def test_a_boot_without_a_network_goes_on_with_what_is_there(machine: Machine, source: Path) -> None:
    machine.told(source, "v1", checksum(source, "v1"))
    machine.boot()
    machine.cut_off()
    assert machine.boot() == 0, machine.log.read_text()
    assert machine.boots == ["booted from v1"] * 2


def test_tries_are_counted(machine: Machine, source: Path) -> None:
    machine.told(source.parent / "nowhere", "v1", "0" * 64)
    assert machine.boot() != 0
    assert machine.log.read_text().count("does not appear to be a git repository") == 10
