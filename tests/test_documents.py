"""The documents are true where a program can check it: links, commands, names, and code blocks."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import msgspec
import pytest
import yaml

from mediaserver.cli.main import _parser
from mediaserver.settings.model import describe, load
from signaling.codec import decode_server
from signaling.messages import OcrEvent, Result
from tests.support.code_blocks import (
    CodeBlock,
    UntestedRow,
    blocks_in,
    code_blocks,
    is_untested,
    untested_rows,
)

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
        ROOT / "triton" / "README.md",
        ROOT / "deploy" / "helm" / "mediaserver" / "README.md",
        *(ROOT / "docs").glob("*.md"),
    ]
)
UNTRACKED = {"deploy/aws/stack.env"}
"""Files that the reader writes."""
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def typed(document: Path, program: str) -> list[str]:
    """Commands in its code blocks that call ``program``."""
    commands = [command for block in code_blocks(document) for command in block.commands]
    calls = [re.fullmatch(rf"(?:\S*/)?({program} .+)", command) for command in commands]
    return [call[1] for call in calls if call is not None]


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


def linked(document: Path) -> set[Path]:
    """The documents that it links to."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+\.md)", document.read_text())
    return {(document.parent / target).resolve() for target in targets}


def test_the_readme_leads_to_each_document_in_two_clicks() -> None:
    first = linked(ROOT / "README.md")
    second = {page for document in first if document.exists() for page in linked(document)}
    assert set(DOCUMENTS) - first - second == {ROOT / "README.md"} - second


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
        words = shlex.split(command)[1:]
        first = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
        with pytest.raises(SystemExit) as ended:
            _parser().parse_args([*words[:first], "--help", *words[first:]])
        assert ended.value.code == 0, command
        told = capsys.readouterr().out
        assert all(option in told for option in re.findall(r"--[a-z-]+", command)), command


def test_commands_are_found() -> None:
    """Else the tests above would hold nothing."""
    assert len(typed(ROOT / "docs" / "tutorial.md", "mediaserver")) >= 4
    assert len(typed(ROOT / "docs" / "python.md", "mediaserver")) >= 3


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


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    versions = re.findall(r"^## (\d+\.\d+\.\d+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def examples(document: Path, language: str) -> list[str]:
    """Its code blocks in that language."""
    return [block.text for block in code_blocks(document) if block.language == language]


def test_the_page_in_ten_lines_is_told_as_it_is() -> None:
    minimal, _ = examples(ROOT / "docs" / "browser.md", "js")
    assert minimal == (ROOT / "web" / "examples" / "minimal.js").read_text()


BLOCKS = [block for document in DOCUMENTS for block in code_blocks(document)]
PASTED = {"README.md", "docs/tutorial.md", "docs/python.md", "docs/models.md", "triton/README.md"}
"""Documents whose blocks `tests/e2e/test_pasted.py` runs, all but the commands of the table."""
DATA = {"http", "json", "sdp", "text", "toml", "yaml"}
"""Languages of blocks that are no commands."""


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_code_block_names_its_language(block: CodeBlock) -> None:
    assert block.language, "output and drawings are `text`"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language not in DATA | {""}], ids=str)
def test_a_code_block_is_run_or_listed(block: CodeBlock) -> None:
    """By the pasting test, by the module that the comment before it names, or it is in the table."""
    if block.document in PASTED:
        return
    if block.run_by is not None:
        assert Path(block.document).name in (ROOT / block.run_by).read_text()
        return
    missing = [command for command in block.commands if not is_untested(block, command)]
    assert missing == [], "write a test for it, or a row of `Tested and untested` in docs/measurements.md"


@pytest.mark.parametrize("row", untested_rows(), ids=lambda row: f"{row.document} {' '.join(row.codes)}")
def test_a_row_of_untested_commands_is_about_a_block(row: UntestedRow) -> None:
    assert row.reason.strip()
    assert any(row.covers(block, command) for block in BLOCKS for command in block.commands)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in DATA], ids=str)
def test_data_in_a_document_is_valid(block: CodeBlock, tmp_path: Path) -> None:
    match block.language:
        case "json":
            texts = [block.text] if block.text.startswith(("{\n", "[\n")) else block.text.splitlines()
            for text in texts:
                json.loads(text)
        case "yaml":
            list(yaml.safe_load_all(block.text))
        case "toml":
            (file := tmp_path / "mediaserver.toml").write_text(block.text)
            load(config_file=file, environment={})


def test_the_json_lines_of_python_md_are_results() -> None:
    (lines,) = (
        block.text for block in BLOCKS if (block.document, block.language) == ("docs/python.md", "json")
    )
    result, event = map(decode_server, lines.encode().splitlines())
    assert isinstance(result, Result)
    assert isinstance(event, OcrEvent)
    sent = msgspec.to_builtins(result)
    assert json.loads(lines.splitlines()[0]).keys() == sent.keys() | {"clip", "time_s"}


def test_blocks_commands_and_rows_are_understood() -> None:
    text = (
        "<!-- run by tests/test_documents.py -->\n```sh\n# no command\na b \\\n  c\n\n"
        "cat > d <<'E'\ne\nE\nf\n```\n\n```console\n$ g\noutput\n```\n"
    )
    first, second = blocks_in("document.md", text)
    assert first.commands == ["a b \\\n  c", "cat > d <<'E'\ne\nE", "f"]
    assert (first.run_by, second.run_by) == ("tests/test_documents.py", None)
    assert second.commands == ["g"]
    assert UntestedRow(None, ("a b",), "why").covers(first, first.commands[0])
    assert not UntestedRow("other.md", ("a b",), "why").covers(first, first.commands[0])
    assert not UntestedRow(None, ("x",), "why").covers(first, first.commands[0])
    assert UntestedRow(first.document, (), "why").covers(first, "anything")
