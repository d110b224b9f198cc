"""What the documents say can be typed: commands are there, links lead somewhere, examples run as pasted."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
import time
from pathlib import Path

import pytest

from mediaserver.child_process import stop
from mediaserver.cli.main import _parser
from mediaserver.settings.model import describe
from signaling.auth import Audience, verify
from tests.support.live_server import live_server

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
        ROOT / "triton" / "README.md",
        *(ROOT / "docs").glob("*.md"),
    ]
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


def test_limits_are_where_the_document_says() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    rows = [line.split(" | ") for line in re.findall(r"^\| (.+) \|$", text, re.MULTILINE)][1:]
    known = {setting.key for setting in describe()}
    for what, _, where, tested in rows:
        constants = re.findall(r"`(\w+)` in `([\w/.]+)`", where)
        for name, file in constants:
            assert re.search(rf"^{name}\b.* = ", (ROOT / file).read_text(), re.MULTILINE), (what, name)
        settings = re.findall(r"`(\w+)`(?! in)", where)
        assert set(settings) <= known, what
        assert constants or settings or "deploy/" in where, what
        assert "tests/" in tested, what
    assert len(rows) > 20


def examples(document: Path, language: str) -> list[str]:
    """Its code blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)


def with_own(example: str, own: dict[str, str]) -> str:
    """The example with what its reader has to replace."""
    for theirs, ours in own.items():
        assert theirs in example
        example = example.replace(theirs, ours)
    return example


async def printed(example: str, *command: str) -> str:
    """What ``command`` writes, with the example as its input."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            output, errors = await process.communicate(example.encode())
    finally:
        await stop(process, timeout_s=10)
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_the_python_example_of_the_readme_prints_results(tiny_models: Path, clip: Path) -> None:
    (example,) = examples(ROOT / "README.md", "python")
    async with live_server(tiny_models) as live:
        own = {"ws://127.0.0.1:8080/ws/inference": live.socket_url, "clip.mp4": str(clip)}
        lines = (await printed(with_own(example, own), "python", "-")).splitlines()
    assert all(re.fullmatch(r"\d+ \[.*\]", line) for line in lines)
    assert any("('red', " in line for line in lines)


async def test_the_token_made_by_hand_is_a_good_one() -> None:
    (example,) = (text for text in examples(ROOT / "docs" / "access.md", "sh") if "python" in text)
    secret = "a key of more than 32 bytes, for tests"
    token = await printed(with_own(example, {'"..."': f'"{secret}"'}), "bash", "-e")
    assert verify(token.strip(), {"k1": secret}, Audience.SESSION, time.time()) == "ada"


def test_the_page_in_ten_lines_is_told_as_it_is() -> None:
    minimal, _ = examples(ROOT / "docs" / "browser.md", "js")
    assert minimal == (ROOT / "web" / "examples" / "minimal.js").read_text()


def test_every_example_is_run() -> None:
    """By the tests above, and those of the page's in `tests/web/test_examples.py`."""
    counts = {
        str(document.relative_to(ROOT)): len(examples(document, "python") + examples(document, "js"))
        for document in DOCUMENTS
    }
    assert {name: count for name, count in counts.items() if count} == {"README.md": 1, "docs/browser.md": 2}
