"""Documents, docstrings, comments and help texts keep to the rules for prose in CONTRIBUTING.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaserver.cli.main import VERBS, _parser, parser_of
from tests.support.prose import MAX_WORDS, faults, help_faults, python_faults
from tests.test_documents import DOCUMENTS, ROOT, names

MODULES = sorted(
    module
    for folder in ("mediaserver", "signaling", "inference", "lambdas", "triton")
    for module in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_a_document_is_plain(document: Path) -> None:
    assert [str(fault) for fault in faults(document.read_text())] == []


@pytest.mark.parametrize("module", MODULES, ids=names(MODULES))
def test_a_module_is_plain(module: Path) -> None:
    assert [str(fault) for fault in python_faults(module.read_text())] == []


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_command_is_plain(verb: str) -> None:
    assert [str(fault) for fault in help_faults(parser_of(verb))] == []


def test_the_list_of_commands_is_plain() -> None:
    assert [str(fault) for fault in help_faults(_parser())] == []


def test_a_long_sentence_is_found_with_its_line() -> None:
    long = "word " * (MAX_WORDS + 1)
    (fault,) = faults(f"Short.\n\n{long.strip()}.\n")
    assert (fault.line, fault.rule) == (3, f"{MAX_WORDS + 1} words")


def test_code_counts_as_one_word() -> None:
    assert not list(faults("The option `" + "word " * 30 + "` is code."))


@pytest.mark.parametrize(
    "sentence",
    [
        "The newest is the one that counts.",
        "Whoever calls waits.",
        "The server says no.",
        "What is gone is closed.",
        "What comes in an npm package is fetched file by file.",
        "Who watches a stream has a socket of its own.",
    ],
)
def test_riddles_are_found(sentence: str) -> None:
    assert len(list(faults(sentence))) == 1


def test_docstrings_and_comments_are_prose() -> None:
    source = '"""Fine."""\n\n# The one that\n# is found.\nx = 1  # whoever reads\n'
    assert [fault.line for fault in python_faults(source)] == [3, 5]


def test_examples_and_drawn_trees_of_docstrings_are_no_sentences() -> None:
    branches = "\n".join(f"├─ Branch {number} has words of its own" for number in range(5))
    assert not list(python_faults(f'"""Fine.\n\n>>> one that is code\n\nRoot\n{branches}\n"""\n'))


@pytest.mark.parametrize("heading", ["Who is let in", "What is read", "Who may watch?"])
def test_headings_may_begin_with_a_pronoun(heading: str) -> None:
    assert not list(faults(f"## {heading}\n"))
