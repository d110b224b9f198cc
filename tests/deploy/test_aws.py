"""The machine on AWS: what its first boot writes, against what the units and the server read."""

from __future__ import annotations

import re
from pathlib import Path

from mediaserver.settings.model import load
from mediaserver.telemetry.cloudwatch import INSTANCE_VARIABLE

ROOT = Path(__file__).parents[2]
FIRST_BOOT = (ROOT / "deploy/aws/first-boot.sh").read_text()
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
    text = re.search(rf"^cat >{SETTINGS_FILE} <<END\n(.*?)^END$", FIRST_BOOT, re.MULTILINE | re.DOTALL)
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
    assert FIRST_BOOT.index(SETTINGS_FILE) < FIRST_BOOT.index("deploy/systemd/install.sh")


def test_the_installer_brings_boto3() -> None:
    locked = re.search(r"^locked=\$checkout/(\S+)$", INSTALL, re.MULTILINE)
    assert locked is not None
    assert re.search(r"^boto3==", (ROOT / locked[1]).read_text(), re.MULTILINE)


def test_the_server_understands_what_it_is_given() -> None:
    drop_in = unit("aws/systemd/mediaserver.conf")["Service"]
    assert drop_in["EnvironmentFile"] == [SETTINGS_FILE, "/run/mediaserver-keys/env"]
    assert (ROOT / "deploy/systemd/mediaserver.service").is_file()
    assert "$units/mediaserver.service.d/aws.conf" in FIRST_BOOT
    values = {"$origin": "https://d1.cloudfront.net", "$public_ip": "203.0.113.7"}
    given = {name: values.get(value, value) for name, value in given_to_the_machine().items()}
    settings = load(environment=given)
    assert [str(origin) for origin in settings.allowed_origins] == ["https://d1.cloudfront.net"]
    assert str(settings.public_ip) == "203.0.113.7"


def test_the_certificate_is_renewed_at_boot() -> None:
    certificate = unit("aws/systemd/mediaserver-certificate.service")
    assert certificate["Install"]["WantedBy"] == ["multi-user.target"]
    # certbot keeps the hook for each renewal.
    assert "--deploy-hook 'systemctl reload nginx'" in FIRST_BOOT
    assert FIRST_BOOT.index("certbot certonly") < FIRST_BOOT.index("enable mediaserver-certificate.service")


def test_keys_go_from_the_secret_to_the_server() -> None:
    keys = unit("aws/systemd/mediaserver-keys.service")["Service"]
    (name, target) = re.findall(r"fetch-keys\.sh \$\{(\w+)\} (\S+)$", keys["ExecStart"][0])[0]
    assert name in given_to_the_machine()
    assert keys["EnvironmentFile"] == [SETTINGS_FILE]
    assert target in unit("aws/systemd/mediaserver.conf")["Service"]["EnvironmentFile"]
