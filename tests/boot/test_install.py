"""The installer on a machine that runs: again, upwards, and back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from lambdas.heartbeat import METRIC, NAMESPACE
from tests.boot.conftest import INSTALL, OFFLINE, SERVER, Installed, Running, wait_until_active
from tests.boot.debian import ROOT
from tests.boot.machine import wait_for

pytestmark = pytest.mark.boot

CURRENT = "/opt/mediaserver/current"
REGION = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


def steps(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("  + ")]


def test_the_settings_are_for_root_alone(installed: Installed) -> None:
    path = installed.tree.root / "etc" / "mediaserver" / "mediaserver.env"
    assert path.stat().st_mode & 0o777 == 0o600
    key = path.read_text().split('"k1": "')[1].split('"')[0]
    assert len(key) == 64
    assert key not in installed.said


def test_installing_again_changes_nothing(running: Running) -> None:
    machine = running.machine
    wait_until_active(machine)
    pid = machine.show(SERVER, "MainPID")
    said = machine.run(INSTALL[0], environment=OFFLINE)
    assert steps(said) == []
    assert "mediaserver.env is there and stays" in said
    assert machine.show(SERVER, "MainPID") == pid


def test_a_unit_that_is_wanted_again_is_started(running: Running) -> None:
    """As after a change from the embedded engine to Triton."""
    machine, triton = running.machine, "triton.service"
    wait_until_active(machine)
    machine.run("systemctl", "disable", "--now", triton)
    assert machine.show(triton, "ActiveState") == "inactive"
    machine.run(INSTALL[0], environment=OFFLINE)
    wait_for(lambda: machine.show(triton, "ActiveState") == "active", 30, lambda: machine.journal(triton))
    wait_until_active(machine)


@pytest.fixture(scope="module")
def newer_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is, but for its version."""
    folder = tmp_path_factory.mktemp("newer")
    for name in ("mediaserver", "signaling", "inference", "web", "triton"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    text = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace('\nversion = "', '\nversion = "9.', 1))
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder))
    subprocess.run((*command, str(folder)), check=True)
    return next(folder.glob("mediaserver-9.*.whl"))


def test_an_upgrade_and_the_way_back(installed: Installed, running: Running, newer_wheel: Path) -> None:
    machine, root = running.machine, installed.tree.root
    wait_until_active(machine)
    before, pid = machine.run("readlink", CURRENT).strip(), machine.show(SERVER, "MainPID")
    triton = machine.show("triton.service", "MainPID")
    shutil.copy(newer_wheel, root / "root")
    edited = root / "etc" / "nginx" / "mediaserver" / "limits.conf"
    shipped = edited.read_text()
    edited.write_text(shipped.replace("30s", "40s"))

    said = machine.run(INSTALL[0], "--wheel", f"/root/{newer_wheel.name}", environment=OFFLINE)
    assert "limits.conf was edited here and stays" in said
    assert "40s" in edited.read_text()
    assert edited.with_suffix(".conf.new").read_text() == shipped
    wait_for(lambda: machine.show(SERVER, "MainPID") not in (pid, "0"), 30, lambda: machine.journal(SERVER))
    wait_until_active(machine)
    assert machine.run("readlink", CURRENT).strip() != before
    python = f"{CURRENT}/venv/bin/python"
    version = machine.run(python, "-c", "import importlib.metadata as m; print(m.version('mediaserver'))")
    assert version.startswith("9.")

    edited.write_text(shipped)
    edited.with_suffix(".conf.new").unlink()
    said = machine.run(INSTALL[0], environment=OFFLINE)
    assert not any("install-locked.sh" in step for step in steps(said)), "the release before was kept"
    wait_until_active(machine)
    assert machine.run("readlink", CURRENT).strip() == before
    assert machine.show("triton.service", "MainPID") == triton, "its models were loaded anew for nothing"


@pytest.fixture
def cloudwatch() -> Iterator[str]:
    """The address of moto's."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_the_heartbeat_leaves_its_sandbox(installed: Installed, running: Running, cloudwatch: str) -> None:
    machine = running.machine
    wait_until_active(machine)
    assert machine.show("mediaserver-heartbeat.timer", "ActiveState") == "inactive", "not on AWS"
    settings = {**REGION, "AWS_ENDPOINT_URL": cloudwatch, "HEARTBEAT_INSTANCE": "i-0"}
    file = installed.tree.root / "etc" / "mediaserver" / "aws.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    try:
        machine.run("systemctl", "start", "mediaserver-heartbeat.timer")
        assert machine.show("mediaserver-heartbeat.timer", "ActiveState") == "active"
        machine.run("systemctl", "start", "mediaserver-heartbeat.service")
    finally:
        machine.run("systemctl", "stop", "mediaserver-heartbeat.timer")
        file.unlink()
    client = boto3.client(
        "cloudwatch",
        endpoint_url=cloudwatch,
        region_name=REGION["AWS_DEFAULT_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    now = datetime.now(UTC)
    answer = client.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=METRIC,
        Dimensions=[{"Name": "InstanceId", "Value": "i-0"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=60,
        Statistics=["Maximum"],
    )
    client.close()
    assert [point["Maximum"] for point in answer["Datapoints"]] == [0.0]
