"""What the documents say can be typed: their commands are there, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mediaserver.cli.main import _parser
from mediaserver.settings.model import describe

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "triton" / "README.md", *(ROOT / "docs").glob("*.md")]
)
UNTRACKED = {"deploy/aws/stack.env"}
"""Files that the reader writes."""
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def typed(document: Path, program: str) -> list[str]:
    """Lines of code blocks that call ``program``."""
    blocks = re.findall(r"^ *```(?:sh|console)?\n(.*?)^ *```", document.read_text(), re.MULTILINE | re.DOTALL)
    return [
        f"{program} {rest}"
        for block in blocks
        for rest in re.findall(rf"^ *(?:\$ )?(?:\S*/)?{program} (.+)$", block, re.MULTILINE)
    ]


def anchors(document: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", document.read_text()):
        file = document.parent / target if target else document
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_make_targets_are_there(document: Path) -> None:
    text = document.read_text()
    for target in [
        *re.findall(r"`make ([a-z-]+)", text),
        *[call.split()[1] for call in typed(document, "make")],
    ]:
        assert target in MAKE_TARGETS, target


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_commands_are_understood(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in typed(document, "mediaserver"):
        _parser().parse_args(shlex.split(command, comments=True)[1:])
    for command in re.findall(r"`(mediaserver [^`]+)`", document.read_text()):  # may lack what it needs
        if command == "mediaserver dev-cloud":
            continue  # hands --help on
        with pytest.raises(SystemExit) as ended:
            _parser().parse_args([*shlex.split(command)[1:], "--help"])
        assert ended.value.code == 0, command
        told = capsys.readouterr().out
        assert all(option in told for option in re.findall(r"--[a-z-]+", command)), command


def test_commands_are_found() -> None:
    """Else the tests above would hold nothing."""
    assert len(typed(ROOT / "README.md", "mediaserver")) >= 4
    assert len(typed(ROOT / "docs" / "operations.md", "mediaserver")) >= 3


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_scripts_are_there_and_take_their_options(document: Path) -> None:
    for script, options in re.findall(
        r"(deploy/[a-z/-]+\.sh)((?: --[a-z-]+(?: [^-\s`]\S*)?)*)", document.read_text()
    ):
        text = (ROOT / script).read_text()
        assert all(option in text for option in re.findall(r"--[a-z-]+", options)), (script, options)


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_files_that_are_named_are_there(document: Path) -> None:
    """Paths in code; those of a page's own modules begin in `web`."""
    folders = "mediaserver|signaling|inference|lambdas|triton|deploy|tests|web|docs"
    for name in re.findall(rf"[` ]((?:{folders})/[\w./-]+\.[a-z]+)\b", document.read_text()):
        assert (ROOT / name).exists() or name in UNTRACKED, name


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
