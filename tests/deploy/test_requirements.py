"""The lock files: exact, hashed, and in keeping with pyproject.toml; and what is made of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
SERVER = ROOT / "requirements" / "server.txt"
DEVELOPMENT = ROOT / "requirements" / "development.txt"
LOCKS = [*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "lambdas" / "requirements.txt"]

WANTED_BY_THE_SERVER = [
    *PYPROJECT["build-system"]["requires"],
    *PROJECT["dependencies"],
    *EXTRAS["export"],
    *EXTRAS["aws"],
]
WANTED_BY_DEVELOPERS = [*EXTRAS["test"], *EXTRAS["check"], *PYPROJECT["dependency-groups"]["lock"]]


def entries(lock: Path) -> list[str]:
    """Each with its hashes, on one line."""
    text = re.sub(r"\\\n\s*", "", lock.read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def versions(lock: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries(lock):
        requirement = Requirement(entry.partition("--hash")[0].strip())
        [specifier] = requirement.specifier
        assert specifier.operator == "==", entry
        assert canonicalize_name(requirement.name) not in found, f"{requirement.name} has two versions"
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_each_package_has_one_version_and_the_hashes_of_its_files(lock: Path) -> None:
    assert versions(lock)
    for entry in entries(lock):
        assert re.fullmatch(r"[\w.-]+==\S+( ; [^\\#]+?)?( +--hash=sha256:[0-9a-f]{64})+", entry), entry


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_no_index_is_named(lock: Path) -> None:
    """Each machine has its own; the hashes say that the files are the same everywhere."""
    assert not re.search(r"://|^-|--(?!hash=)", lock.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [(SERVER, WANTED_BY_THE_SERVER), (DEVELOPMENT, WANTED_BY_DEVELOPERS)],
    ids=["server", "development"],
)
def test_what_pyproject_asks_for_is_locked(lock: Path, wanted: list[str]) -> None:
    locked = versions(lock)
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked; run make lock"
        assert version in requirement.specifier, f"{requirement} and {version}: run make lock"


def test_development_is_the_server_and_more() -> None:
    assert versions(SERVER).items() < versions(DEVELOPMENT).items()


def test_the_functions_read_tokens_as_the_server_does() -> None:
    locked = versions(ROOT / "lambdas" / "requirements.txt")
    assert locked == {"pyjwt": versions(SERVER)["pyjwt"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what `make lock` reads and writes."""
    for path in (ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "deploy/dev/lock.sh", *LOCKS):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


def test_a_lock_follows_pyproject_and_keeps_the_versions_that_fit(project: Path) -> None:
    pyproject = project / "pyproject.toml"
    pyproject.write_text(re.sub('"rich>=[^"]+"', '"rich==14.0.0"', pyproject.read_text()))
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    locking = subprocess.run(
        [project / "deploy/dev/lock.sh"],
        env=os.environ | {"PATH": programs},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Failed to fetch" in locking.stderr:
        pytest.skip("versions are looked up in a package index, and none can be reached")
    assert locking.returncode == 0, locking.stderr
    for lock in (SERVER, DEVELOPMENT):
        assert versions(project / lock.relative_to(ROOT)) == versions(lock) | {"rich": "14.0.0"}


def test_the_bill_of_materials_lists_what_is_locked_for_the_server(tmp_path: Path) -> None:
    # What `make` would install is installed: it runs this test.
    command = (
        "make",
        "--old-file=.venv/.development",
        "sbom",
        f"PYTHON={sys.executable}",
        f"ARTIFACTS={tmp_path}",
    )
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    bill = json.loads((tmp_path / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["version"] == PROJECT["version"]
    listed = {canonicalize_name(part["name"]): part["version"] for part in bill["components"]}
    assert listed == versions(SERVER)
