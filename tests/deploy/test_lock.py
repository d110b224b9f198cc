"""`make lock` and `make sbom`, done in a copy of the files that they read and write."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.deploy.test_requirements import DEVELOPMENT, LOCKS, PROJECT, ROOT, SERVER, versions

TOOLS = ROOT / ".venv" / "tools"
"""Where `make` has the tools; installed once for all runs."""
UNREACHABLE = re.compile("No matching distribution found|Failed to fetch")


def make(folder: Path, target: str) -> None:
    """Skips the test where there is no package index."""
    command = ("make", target, f"TOOLS={TOOLS}")
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if UNREACHABLE.search(made.stderr):
        pytest.skip("no package index can be reached")
    assert made.returncode == 0, made.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    scripts = (ROOT / "deploy" / "dev").glob("*.sh")
    for path in (ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "README.md", *scripts, *LOCKS):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return tmp_path


def test_a_lock_follows_pyproject_and_keeps_the_versions_that_fit(project: Path) -> None:
    pyproject = project / "pyproject.toml"
    # Less to look up than in all that we need.
    lists = re.compile(r"^(dependencies|test|check) = \[.*?\]$", re.MULTILINE | re.DOTALL)
    pyproject.write_text(lists.sub(r'\1 = ["rich==14.0.0"]', pyproject.read_text()))
    make(project, "lock")
    server, before = versions(project / SERVER.relative_to(ROOT)), versions(SERVER)
    assert server == {name: before[name] for name in server} | {"rich": "14.0.0"}
    assert {"onnx", "boto3", "hatchling"} < server.keys() < before.keys()
    assert versions(project / DEVELOPMENT.relative_to(ROOT)) == server


def test_the_bill_of_materials_lists_what_is_locked_for_the_server(project: Path) -> None:
    make(project, "sbom")
    bill = json.loads((project / "artifacts" / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["version"] == PROJECT["version"]
    listed = {canonicalize_name(part["name"]): part["version"] for part in bill["components"]}
    assert listed == versions(SERVER)
