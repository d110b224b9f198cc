"""The machine on AWS: what its boot writes, against what the units and the server read."""

from __future__ import annotations

import re
from pathlib import Path

from mediaserver.telemetry.cloudwatch import INSTANCE_VARIABLE

ROOT = Path(__file__).parents[2]
BOOT = (ROOT / "deploy/aws/boot.sh").read_text()
STEPS = ROOT / "deploy/aws/steps"
SETTINGS_STEP = (STEPS / "settings.sh").read_text()
CERTIFICATE_STEP = (STEPS / "certificate.sh").read_text()
INSTALL = (ROOT / "deploy/systemd/install.sh").read_text()
SETTINGS_FILE = "/etc/mediaserver/aws.env"


def unit(path: str) -> dict[str, dict[str, list[str]]]:
    """Section → key → values: systemd lets a key come again."""
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in (ROOT / "deploy" / path).read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return found


def given_to_the_machine() -> dict[str, str]:
    file = SETTINGS_FILE.replace("/etc", "\\$etc")
    text = re.search(rf'^put "{file}" <<END\n(.*?)^END$', SETTINGS_STEP, re.MULTILINE | re.DOTALL)
    assert text is not None
    return dict(line.split("=", 1) for line in text[1].splitlines())


def test_the_heartbeat_is_told_which_machine_it_is_of() -> None:
    heartbeat = unit("systemd/mediaserver-heartbeat.service")["Service"]
    assert heartbeat["ExecStart"][0].endswith("/mediaserver heartbeat")
    assert SETTINGS_FILE in heartbeat["EnvironmentFile"]
    # The region is boto3's own variable.
    assert {INSTANCE_VARIABLE, "AWS_DEFAULT_REGION"} <= given_to_the_machine().keys()


def test_the_heartbeat_runs_once_a_minute_as_soon_as_the_settings_are_there() -> None:
    timer = unit("systemd/mediaserver-heartbeat.timer")
    assert timer["Unit"]["ConditionPathExists"] == [SETTINGS_FILE]
    assert timer["Timer"]["OnCalendar"] == ["*-*-* *:*:00"]
    wanted = re.search(r"^wanted=\((.*)\)$", INSTALL, re.MULTILINE)
    assert wanted is not None
    assert "mediaserver-heartbeat.timer" in wanted[1].split()
    # Else the timer's condition would fail at the start that the installer asks for.
    assert BOOT.index("step settings") < BOOT.index("step install")


def test_the_installer_brings_boto3() -> None:
    locked = re.search(r"^locked=\$checkout/(\S+)$", INSTALL, re.MULTILINE)
    assert locked is not None
    assert re.search(r"^boto3==", (ROOT / locked[1]).read_text(), re.MULTILINE)


def test_the_server_is_given_its_settings_and_its_keys() -> None:
    drop_in = unit("aws/systemd/mediaserver.conf")["Service"]
    assert drop_in["EnvironmentFile"] == [SETTINGS_FILE, "/run/mediaserver-keys/env"]
    assert (ROOT / "deploy/systemd/mediaserver.service").is_file()
    assert "$units/mediaserver.service.d/aws.conf" in SETTINGS_STEP


def test_the_certificate_is_renewed_at_boot_by_one_alone() -> None:
    """certbot: "Another instance of Certbot is already running."""
    assert "--keep-until-expiring" in CERTIFICATE_STEP
    # certbot keeps the hook for each renewal.
    assert '--deploy-hook "$aws/keep-certificate.sh' in CERTIFICATE_STEP
    for path in (ROOT / "deploy/aws/systemd").iterdir():
        assert "certbot" not in path.read_text()


def test_keys_go_from_the_secret_to_the_server() -> None:
    keys = unit("aws/systemd/mediaserver-keys.service")["Service"]
    (name, target) = re.findall(r"fetch-keys\.sh \$\{(\w+)\} (\S+)$", keys["ExecStart"][0])[0]
    assert name in given_to_the_machine()
    assert keys["EnvironmentFile"] == [SETTINGS_FILE]
    assert target in unit("aws/systemd/mediaserver.conf")["Service"]["EnvironmentFile"]
