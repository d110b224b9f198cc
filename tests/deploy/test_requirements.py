"""The lock files: exact, hashed, and in keeping with pyproject.toml. Nothing is fetched."""

from __future__ import annotations

import re
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
TOOLS = ROOT / "requirements" / "tools.txt"
LOCKS = [*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "lambdas" / "requirements.txt"]

WANTED_BY_THE_SERVER = [
    *PYPROJECT["build-system"]["requires"],
    *PROJECT["dependencies"],
    *EXTRAS["export"],
    *EXTRAS["aws"],
]
WANTED = {
    SERVER: WANTED_BY_THE_SERVER,
    DEVELOPMENT: [*EXTRAS["test"], *EXTRAS["check"]],
    TOOLS: PYPROJECT["dependency-groups"]["tools"],
}


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


@pytest.mark.parametrize("lock", WANTED, ids=lambda lock: lock.stem)
def test_what_pyproject_asks_for_is_locked(lock: Path) -> None:
    locked = versions(lock)
    for requirement in map(Requirement, WANTED[lock]):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked; run make lock"
        assert version in requirement.specifier, f"{requirement} and {version}: run make lock"


def test_development_is_the_server_and_more() -> None:
    assert versions(SERVER).items() < versions(DEVELOPMENT).items()


def test_the_functions_read_tokens_as_the_server_does() -> None:
    locked = versions(ROOT / "lambdas" / "requirements.txt")
    assert locked == {"pyjwt": versions(SERVER)["pyjwt"]}
