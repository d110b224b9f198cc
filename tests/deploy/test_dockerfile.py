"""The Dockerfile, read by hadolint, and what it takes into the image. No image is built."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
TEXT = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE))
HADOLINT = shutil.which("hadolint", path=Path(sys.executable).parent)


def stages() -> dict[str, list[str]]:
    """The instructions of each stage, by its name."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^(?=FROM )", TEXT, flags=re.MULTILINE)[1:]:
        lines = [line for line in part.splitlines() if line]
        found[lines[0].split(" AS ")[1]] = lines
    return found


def test_hadolint_has_nothing_to_say() -> None:
    assert HADOLINT is not None
    checked = subprocess.run((HADOLINT, str(DOCKERFILE)), capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_bases_are_pinned_to_a_release() -> None:
    for lines in stages().values():
        assert re.match(r"FROM \S+:\d+\.\d+(\.\d+)?-\S+ AS ", lines[0]), lines[0]


@pytest.mark.parametrize("stage", ["server", "triton-cpu"])
def test_what_runs_is_not_root(stage: str) -> None:
    users = [line.split()[1] for line in stages()[stage] if line.startswith("USER ")]
    assert users
    assert int(users[-1].split(":")[0]) > 0


def test_the_server_s_image_has_a_health_check_and_no_build_tools() -> None:
    server = stages()["server"]
    [check] = [line for line in server if line.startswith("HEALTHCHECK ")]
    assert "/healthz" in check
    assert not any(line.startswith("RUN ") for line in server)
    assert [line for line in server if line.startswith("COPY ")] == [
        "COPY --from=build /opt/mediaserver /opt/mediaserver"
    ]


def test_the_health_check_is_python() -> None:
    """Its quotes go through Docker's JSON; run it against nothing, and it says that nobody answers."""
    [check] = [line for line in stages()["server"] if line.startswith("HEALTHCHECK ")]
    command = yaml.safe_load(check[check.index("[") :])
    environment = {"MEDIASERVER_PORT": "1"}
    ran = subprocess.run(
        (sys.executable, *command[1:]), env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "Connection refused" in ran.stderr


def test_only_what_is_copied_reaches_the_build() -> None:
    copied = {
        name.rstrip("/")
        for lines in stages().values()
        for line in lines
        if line.startswith("COPY ") and "--from=" not in line
        for name in line.split()[1:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert {line[1:].rstrip("/") for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_targets_of_the_compose_files_are_there() -> None:
    for name in ("compose.yaml", "compose.cpu.yaml"):
        for target in re.findall(r"target: ([a-z-]+)$", (DOCKERFILE.parent / name).read_text(), re.MULTILINE):
            assert target in stages()


def test_packages_are_locked() -> None:
    """Else an image of tomorrow would hold others."""
    installs = re.findall(r"\bpip3? install ([^&\n]+)", TEXT)
    assert len(installs) == 3
    for options in installs:
        assert "--require-hashes" in options or {"--no-deps", "--no-build-isolation"} <= set(options.split())


def test_no_secret_is_built_in() -> None:
    assert not re.search(r"(?i)(secret|password|token|key)\s*=", TEXT)
