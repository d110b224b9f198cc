"""The code blocks of the documents, and the table of the commands that no test runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "measurements.md"
_HEADING = "Tested and untested"
_RUN_BY = re.compile(r"<!-- run by (tests/[\w/]+\.py) -->")
_HEREDOC = re.compile(r"<<-?\s*'?(\w+)'?")


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block. ``run_by`` is the test module that the comment before it names."""

    document: str
    line: int
    language: str
    text: str
    run_by: str | None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Of a shell block each command, with its heredoc and continued lines; else the whole block."""
        if self.language == "console":
            typed = [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]
            return list(_commands("\n".join(typed)))
        return list(_commands(self.text)) if self.language == "sh" else [self.text]


def _commands(script: str) -> Iterator[str]:
    lines = iter(script.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        command = line
        while command.endswith("\\"):
            command += "\n" + next(lines)
        if heredoc := _HEREDOC.search(command):
            for more in lines:
                command += "\n" + more
                if more == heredoc[1]:
                    break
        yield command


def code_blocks(document: Path) -> list[CodeBlock]:
    """All fenced blocks of ``document``, in order."""
    return blocks_in(str(document.relative_to(ROOT)), document.read_text())


def blocks_in(document: str, text: str) -> list[CodeBlock]:
    """As `code_blocks`, of the ``text`` of a document of that name."""
    found, run_by = list[CodeBlock](), None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "html_block" and (comment := _RUN_BY.search(token.content)):
            run_by = comment[1]
        elif token.type == "fence":
            line = (token.map or [0])[0] + 1
            found.append(CodeBlock(document, line, token.info.strip(), token.content, run_by))
            run_by = None
        elif token.type != "html_block":
            run_by = None
    return found


@dataclass(frozen=True, slots=True)
class UntestedRow:
    """A row of the table: each command that begins with one of ``codes``, in ``document`` if named."""

    document: str | None
    codes: tuple[str, ...]
    reason: str

    def covers(self, block: CodeBlock, command: str) -> bool:
        """Whether no test has to run ``command`` of ``block``."""
        if self.document is not None and self.document != block.document:
            return False
        return not self.codes or command.startswith(self.codes)


def untested_rows() -> list[UntestedRow]:
    """The rows of `Tested and untested` in docs/measurements.md: codes in backticks, then the reason.

    A code that ends in ``.md`` names the document; a row with a document alone is for all of its blocks.
    """
    section = TABLE.read_text().partition(f"## {_HEADING}\n")[2].partition("\n## ")[0]
    rows = []
    for first, reason in re.findall(r"^\| ([^|]*`[^|]*) \| ([^|]+) \|$", section, re.MULTILINE):
        codes = re.findall(r"`([^`]+)`", first)
        documents = [code for code in codes if re.fullmatch(r"[\w/.-]+\.md", code)]
        others = tuple(code for code in codes if code not in documents)
        rows += [UntestedRow(document, others, reason) for document in documents or [None]]
    return rows


def is_untested(block: CodeBlock, command: str) -> bool:
    """Whether the table has a row for the command."""
    return any(row.covers(block, command) for row in untested_rows())
