"""The units, as systemd reads them; the installer, as far as it can be tried without a machine of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from argparse import ArgumentParser
from pathlib import Path

import pytest

from mediaserver.cli import triton
from mediaserver.cli.main import _parser
from mediaserver.settings.model import describe, load

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "deploy" / "systemd"
AWS = ROOT / "deploy" / "aws"
UNITS = sorted(path for path in SYSTEMD.iterdir() if path.suffix in (".target", ".service", ".timer"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
MOST_EXPOSURE = 2.5

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: systemd)"
)


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Without root's rights it must do as well: only dry runs here."""
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.fixture
def there(tmp_path: Path) -> list[Path]:
    """The units with programs that are there: those of the installation are not on this machine."""
    program = shutil.which("true")
    assert program is not None
    for unit in UNITS:
        text = re.sub(r"^(Exec\w+=)\S+", rf"\1{program}", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    # Docker brings its own.
    (tmp_path / "docker.service").write_text(f"[Service]\nExecStart={program}\n")
    drop_in = tmp_path / "mediaserver.service.d" / "aws.conf"
    drop_in.parent.mkdir()
    shutil.copy(AWS / "systemd" / "mediaserver.conf", drop_in)
    keys = (AWS / "systemd" / "mediaserver-keys.service").read_text()
    (tmp_path / "mediaserver-keys.service").write_text(re.sub(r"(ExecStart=)\S+", rf"\1{program}", keys))
    return [tmp_path / unit.name for unit in UNITS]


@needs_systemd
def test_units_verify_together_with_those_of_aws(there: list[Path]) -> None:
    done = run("systemd-analyze", "verify", "--man=no", *there)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=names(SERVICES))
def test_services_are_sandboxed(unit: Path) -> None:
    done = run("systemd-analyze", "security", "--offline=true", unit)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= MOST_EXPOSURE


@pytest.mark.parametrize("unit", SERVICES, ids=names(SERVICES))
def test_commands_of_the_program_are_understood(unit: Path) -> None:
    for command in re.findall(r"^ExecStart=\S+/bin/mediaserver (.+)$", unit.read_text(), re.MULTILINE):
        _parser().parse_args(command.split())


def given(unit: Path, key: str) -> list[str]:
    """The values of a key, of which later ones add to earlier ones."""
    return [
        value
        for line in re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)
        for value in line.split()
    ]


def test_only_units_that_need_the_machine_s_credentials_reach_them() -> None:
    """A client names addresses that the server then sends packets to. (AWS's metadata, IPv4 and IPv6.)"""
    server, drop_in = SYSTEMD / "mediaserver.service", AWS / "systemd" / "mediaserver.conf"
    assert given(server, "IPAddressDeny") == ["169.254.169.254", "fd00:ec2::254"]
    assert not [key for file in (server, drop_in) for key in given(file, "IPAddressAllow")]
    assert not given(drop_in, "IPAddressDeny")
    for unit in (SYSTEMD / "mediaserver-heartbeat.service", *(AWS / "systemd").glob("*.service")):
        assert not given(unit, "IPAddressDeny"), unit.name


def test_the_server_leaves_memory_to_the_machine_and_frames_never_reach_a_disk() -> None:
    unit = SYSTEMD / "mediaserver.service"
    (high,), (most,) = given(unit, "MemoryHigh"), given(unit, "MemoryMax")
    assert 0 < int(high.rstrip("%")) < int(most.rstrip("%")) < 100
    assert given(unit, "MemorySwapMax") == ["0"] == given(unit, "LimitCORE")


def test_the_settings_file_is_understood() -> None:
    lines = (SYSTEMD / "mediaserver.env").read_text().replace("@KEY@", "0" * 64).splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    load(environment={name: value.strip("'") for name, value in given.items()})
    commented = {line[1:].split("=")[0] for line in lines if line.startswith("#MEDIASERVER_")}
    assert commented <= {setting.variable for setting in describe()}


@pytest.mark.parametrize("script", sorted(SYSTEMD.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_say_what_they_take(script: Path) -> None:
    text = script.read_text()
    told = run(script, "--help").stdout
    for option in re.findall(r"^ +(?:\| )?(--[a-z-]+)(?: \||\))", text, re.MULTILINE):
        assert option in told or option == "--help", option
    done = run(script, "--frobnicate")
    assert done.returncode == 2
    assert "unknown option --frobnicate" in done.stderr


def test_the_installer_takes_the_flavour_that_the_command_takes() -> None:
    parser = ArgumentParser()
    triton.add_arguments(parser)
    default = parser.parse_args(["repository", "/nowhere"]).flavour
    assert f"flavour={default}" in (SYSTEMD / "install.sh").read_text()
    assert f"of that repository: {default} (default)" in run(SYSTEMD / "install.sh", "--help").stdout
    for document in (ROOT / "triton" / "README.md", ROOT / "docs" / "deploy.md"):
        named = re.findall(r"triton repository \S+.*--flavour (\w+)", document.read_text())
        assert set(named) <= {default}, document


@needs_systemd
def test_a_dry_run_of_the_installer_says_each_step(tmp_path: Path) -> None:
    done = run(SYSTEMD / "install.sh", "--dry-run", "--models", tmp_path, "--flavour", "cpu")
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("  + ")]
    for step in ("requirements/server.txt", "/system/mediaserver.service", "triton repository", "ln -sfn"):
        assert any(step in line for line in steps), step
    assert not re.search(r"[0-9a-f]{64}", done.stdout), "a key was said"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--models", "/nowhere"], "no folder /nowhere"),
        (["--flavour", "sweet"], "not onnx, tensorrt or cpu"),
        (["--udp-range", "all"], "not like 40000-49999"),
        (["--udp-range", "49999-40000"], "no range of ports"),
        (["--udp-range", "60000-70000"], "no range of ports"),
        (["--domain", "a b"], "not a name like"),
        (["--wheel", "/nowhere.whl"], "no file /nowhere.whl"),
        (["--domain"], "--domain needs a value"),
    ],
)
def test_bad_options_are_named(options: list[str], words: str) -> None:
    done = run(SYSTEMD / "install.sh", "--dry-run", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert not done.stdout


def test_a_dry_run_of_the_undoing_changes_nothing() -> None:
    done = run(SYSTEMD / "uninstall.sh", "--dry-run", "--purge")
    assert done.returncode == 0, done.stderr
    assert "rm -rf /etc/mediaserver /var/lib/mediaserver" in done.stdout
