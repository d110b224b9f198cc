"""What the documents say can be typed: their commands are there, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mediaserver.cli import _parser
from mediaserver.settings import describe

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "triton" / "README.md", *(ROOT / "docs").glob("*.md")])
MAKE_TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def commands(document: Path, program: str) -> list[str]:
    """Lines of console blocks, and code in the text, that call ``program``."""
    text = document.read_text()
    typed = re.findall(rf"^\$ ({program} .*?)(?:\s+#.*)?$", text, re.MULTILINE)
    return typed + re.findall(rf"`({program} [^`]+)`", text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_make_targets_are_there(document: Path) -> None:
    for command in commands(document, "make"):
        assert command.split()[1] in MAKE_TARGETS, command


@pytest.mark.parametrize("document", [ROOT / "README.md"], ids=["README.md"])
def test_commands_of_the_readme_are_understood(document: Path) -> None:
    typed = commands(document, "mediaserver")
    assert len(typed) >= 2
    for command in typed:
        _parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_variables_are_settings(document: Path) -> None:
    known = {setting.variable for setting in describe()} | {"MEDIASERVER_CONFIG"}
    for variable in re.findall(r"MEDIASERVER_[A-Z_]+", document.read_text()):
        assert variable in known, variable


def test_the_python_example_of_the_readme_compiles() -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    indented = "\n".join(f"    {line}" for line in example[1].splitlines())
    compile(f"async def example():\n{indented}", "README.md", "exec")
