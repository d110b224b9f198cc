"""Who may import what (docs/architecture.md), held by reading every import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {"inference", "signaling", "mediaserver", "lambdas", "tests"}
ROOMS = {
    "errors": set(),
    "paths": {"errors"},
    "packages": set(),
    "child_process": {"errors"},
    "telemetry": {"errors", "packages"},
    "settings": {"errors", "telemetry"},
    "webrtc": {"errors", "telemetry", "settings"},
    "models": {"errors", "paths", "packages", "child_process", "telemetry", "settings"},
    "session": {"errors", "telemetry", "settings", "webrtc", "models"},
    "client": {"errors", "telemetry", "settings", "webrtc", "models"},
    "server": {"errors", "paths", "packages", "telemetry", "settings", "webrtc", "models", "session"},
    "cli": {
        *("errors", "paths", "packages", "child_process", "telemetry", "settings"),
        *("webrtc", "models", "session", "client", "server"),
    },
    "__main__": {"cli"},
}
"""The packages and modules at the top of `mediaserver/`, and those of them that each may import."""
MAX_LINES = 400
AIORTC_SEAM = "mediaserver/webrtc/aiortc_seam/"


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def files_importing(package: str, name: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in python_files(package) if name in libraries(path)}


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
    for path in python_files(package):
        forbidden = libraries(path) & (TOP_LEVEL - allowed - {package})
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


def room(module: str) -> str | None:
    """The part of `mediaserver` that a dotted module name lies in."""
    parts = module.split(".")
    return parts[1] if parts[0] == "mediaserver" and len(parts) > 1 else None


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_know_only_those_below_them(name: str) -> None:
    place = ROOT / "mediaserver" / name
    files = python_files(f"mediaserver/{name}") if place.is_dir() else [place.with_suffix(".py")]
    for path in files:
        known = {found for module in imports(path) if (found := room(module)) is not None}
        forbidden = known - ROOMS[name] - {name}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


def test_every_room_has_its_place_in_the_direction() -> None:
    there = {path.stem for path in (ROOT / "mediaserver").glob("*.py")} | {
        path.parent.name for path in (ROOT / "mediaserver").glob("*/__init__.py")
    }
    assert there == {*ROOMS, "__init__"}
    assert len(list((ROOT / "mediaserver").glob("*.py"))) <= 6


@pytest.mark.parametrize(
    ("package", "library", "files"),
    [
        ("inference", "onnxruntime", {"inference/engines/embedded.py"}),
        ("inference", "tritonclient", {"inference/engines/triton.py", "inference/engines/triton_batches.py"}),
        ("inference", "aiortc", set()),
        ("inference", "aiohttp", set()),
        ("signaling", "aiohttp", {"signaling/websocket.py"}),
        ("signaling", "aiortc", set()),
        ("mediaserver", "tritonclient", {"mediaserver/models/triton_check.py"}),
        (
            "mediaserver",
            "onnx",
            {
                *(
                    f"mediaserver/models/onnx_{part}.py"
                    for part in ("export", "front", "head", "nodes", "builder")
                ),
                *("mediaserver/models/conversion.py", "mediaserver/models/triton_repository.py"),
                *("mediaserver/models/nanodet.py", "mediaserver/models/movenet.py"),
            },
        ),
        ("signaling", "jwt", {"signaling/auth.py"}),
        ("mediaserver", "jwt", set()),
        ("mediaserver", "boto3", {"mediaserver/telemetry/cloudwatch.py"}),
        ("mediaserver", "botocore", {"mediaserver/telemetry/cloudwatch.py"}),
        ("lambdas", "jwt", {"lambdas/tokens.py"}),
        (
            "lambdas",
            "boto3",
            {"lambdas/entry.py", "lambdas/invite.py", "lambdas/revoke.py", "lambdas/dev/cloud.py"},
        ),
        (
            "lambdas",
            "botocore",
            {"lambdas/auto_stop.py", "lambdas/errors.py", "lambdas/wiring.py", "lambdas/dev/ec2.py"},
        ),
        ("lambdas", "moto", {"lambdas/dev/__main__.py", "lambdas/dev/cloud.py"}),
    ],
)
def test_libraries_stay_in_their_files(package: str, library: str, files: set[str]) -> None:
    assert files_importing(package, library) == files


def private_names(path: Path) -> set[str]:
    """Private names of other objects that a file uses: as attributes of anything but ``self`` and ``cls``, or
    as text, for ``getattr`` and its like."""
    tree = ast.parse(path.read_text())
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_own(node)} | {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and not _is_own(node)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named = {text for text in texts if isinstance(text, str) and re.fullmatch(r"_[A-Za-z]\w+", text)}
    return {name for name in used - own if re.fullmatch(r"_[a-zA-Z]\w*", name)} | named


def _is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def test_private_names_of_aiortc_stay_in_the_seam() -> None:
    of_aiortc = [path for path in python_files("mediaserver") if libraries(path) & {"aiortc", "aioice"}]
    found = {str(path.relative_to(ROOT)) for path in of_aiortc if private_names(path)}
    assert found
    assert {path for path in found if not path.startswith(AIORTC_SEAM)} == set()


def test_files_are_short_enough_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in python_files("mediaserver", "signaling", "inference", "lambdas", "triton", "tests")
        if (count := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert not long
