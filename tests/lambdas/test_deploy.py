from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mediaserver.settings.model import describe

AWS = Path(__file__).parents[2] / "deploy" / "aws"
EXAMPLE = (AWS / "stack.env.example").read_text()


def dry_run(settings: Path) -> subprocess.CompletedProcess[str]:
    command = [str(AWS / "deploy.sh"), "--dry-run", str(settings)]
    # Without AWS's command line, too.
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)


def filled_in(settings: Path, **values: str) -> Path:
    """The example with every empty value filled in."""
    lines = [
        f"{line}{values.get(line[:-1], 'x')}" if line.endswith("=") else line for line in EXAMPLE.splitlines()
    ]
    settings.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]) + "\n")
    return settings


def test_a_dry_run_shows_every_step_in_order(tmp_path: Path) -> None:
    done = dry_run(filled_in(tmp_path / "stack.env", SourceSha256="0" * 64))
    assert done.returncode == 0, done.stderr
    steps = [line.split()[1:4] for line in done.stdout.splitlines() if line.startswith("+")]
    assert [step[0].rpartition("/")[2] for step in steps] == ["build.sh", *["aws"] * 5]
    assert [step[1:] for step in steps[1:]] == [
        ["cloudformation", "package"],
        ["cloudformation", "deploy"],
        ["s3", "sync"],
        ["s3", "cp"],
        ["cloudfront", "create-invalidation"],
    ]
    assert "DomainName=gpu.example.org HostedZoneId=x" in done.stdout
    assert "--exclude tests/*" in done.stdout


def test_the_checksum_of_the_source_is_that_of_this_checkout(tmp_path: Path) -> None:
    if not (AWS.parents[1] / ".git").exists():
        pytest.skip("this is no checkout")
    done = dry_run(filled_in(tmp_path / "stack.env", SourceRef="HEAD"))
    assert done.returncode == 0, done.stderr
    command = ["git", "-c", "tar.umask=0022", "archive", "--format=tar", "HEAD"]
    archive = subprocess.run(command, cwd=AWS.parents[1], capture_output=True, check=True).stdout
    assert f"SourceSha256={hashlib.sha256(archive).hexdigest()}" in done.stdout
    unknown = dry_run(filled_in(tmp_path / "stack.env", SourceRef="no-such-tag"))
    assert (unknown.returncode, "no no-such-tag in this checkout" in unknown.stderr) == (1, True)


def test_what_is_not_filled_in_is_named(tmp_path: Path) -> None:
    settings = tmp_path / "stack.env"
    settings.write_text(EXAMPLE)
    done = dry_run(settings)
    assert done.returncode == 1
    assert "ARTIFACT_BUCKET is empty" in done.stderr


def test_says_what_it_takes() -> None:
    told = subprocess.run([AWS / "deploy.sh", "--help"], capture_output=True, text=True, check=True).stdout
    assert "deploy.sh [--dry-run] [STACK_ENV]" in told
    wrong = subprocess.run([AWS / "deploy.sh", "--wet"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (2, "deploy.sh: unknown option --wet; --help lists all\n")


@pytest.mark.parametrize("script", sorted(AWS.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_parse(script: Path) -> None:
    shell = script.read_text().partition("\n")[0].removeprefix("#!")
    assert subprocess.run([shell, "-n", script], check=False).returncode == 0


def test_first_boot_names_what_it_misses() -> None:
    command = ["bash", str(AWS / "first-boot.sh"), "--domain", "gpu.example.org"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--email is needed" in done.stderr


def test_the_machine_is_given_no_setting_that_the_server_does_not_know() -> None:
    known = {setting.variable for setting in describe()}
    given = {
        name for script in AWS.glob("*.sh") for name in re.findall(r"MEDIASERVER_\w+", script.read_text())
    }
    assert "MEDIASERVER_TOKEN_KEYS" in given
    assert given <= known


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_units_verify(tmp_path: Path) -> None:
    timer = tmp_path / "mediaserver-max-run.timer"
    shutil.copytree(AWS / "systemd", tmp_path, dirs_exist_ok=True)
    timer.write_text(timer.read_text() + "\n[Timer]\nOnBootSec=485min\n")
    keys = tmp_path / "mediaserver-keys.service"
    keys.write_text(keys.read_text().replace("/opt/mediaserver/deploy/aws", str(AWS)))
    certificate = tmp_path / "mediaserver-certificate.service"  # certbot is on the machine alone
    certificate.write_text(certificate.read_text().replace("/usr/bin/certbot", str(shutil.which("true"))))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", timer, keys, certificate],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
