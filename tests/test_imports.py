"""The import table of docs/architecture.md, held by reading every import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"inference", "signaling", "mediaserver", "lambdas", "tests"}


def imports(path: Path) -> Iterator[str]:
    """Top-level names of the packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def files_importing(package: str, name: str) -> set[str]:
    return {
        str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py") if name in set(imports(path))
    }


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("inference", set()),
        ("signaling", set()),
        ("lambdas", set()),
        ("mediaserver", {"inference", "signaling"}),
    ],
)
def test_packages_know_only_those_below_them(package: str, allowed: set[str]) -> None:
    for path in (ROOT / package).rglob("*.py"):
        forbidden = set(imports(path)) & (OURS - allowed - {package})
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


@pytest.mark.parametrize(
    ("package", "library", "files"),
    [
        ("inference", "onnxruntime", {"inference/embedded.py"}),
        ("inference", "tritonclient", {"inference/triton.py"}),
        ("inference", "aiortc", set()),
        ("inference", "aiohttp", set()),
        ("signaling", "aiohttp", {"signaling/websocket.py"}),
        ("signaling", "aiortc", set()),
        ("mediaserver", "tritonclient", set()),
        ("mediaserver", "onnx", {"mediaserver/onnx_export.py", "mediaserver/triton_repository.py"}),
        ("signaling", "jwt", {"signaling/auth.py"}),
        ("mediaserver", "jwt", set()),
        ("mediaserver", "boto3", {"mediaserver/heartbeat.py"}),
        ("mediaserver", "botocore", {"mediaserver/heartbeat.py"}),
        ("lambdas", "jwt", {"lambdas/tokens.py"}),
        ("lambdas", "boto3", {"lambdas/entry.py", "lambdas/invite.py", "lambdas/dev/cloud.py"}),
        (
            "lambdas",
            "botocore",
            {"lambdas/auto_stop.py", "lambdas/errors.py", "lambdas/wiring.py", "lambdas/dev/cloud.py"},
        ),
        ("lambdas", "moto", {"lambdas/dev/__main__.py", "lambdas/dev/cloud.py"}),
    ],
)
def test_libraries_stay_in_their_files(package: str, library: str, files: set[str]) -> None:
    assert files_importing(package, library) == files
