"""The rules for prose that a program can check, over Markdown, docstrings, comments and help texts.

CONTRIBUTING.md has all of the rules.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

MAX_WORDS = 20
"""In one sentence. Code in backticks counts as one word."""

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|(?<=[.?!][)”\"])\s+")
_WORD = re.compile(r"\w[\w'’.,/%:-]*")
_SOFTWARE = (
    "servers?|clients?|pages?|engines?|Triton|nodes?|workers?|tests?|models?|scripts?|programs?|process(?:es)?|"
    "commands?|browsers?|encoders?|installers?|doctor|demo|replay"
)
_DOCTEST = re.compile(r"\s*(?:>>>|\.\.\.)(?: |$)")
_BRANCH = re.compile(r"^(\s*)[│ ]*[├└]─ ")
"""A line of a tree that is drawn in a docstring."""
_BANNED = {
    re.compile(r"\b(?:the )?ones? (?:that|which|who)\b", re.IGNORECASE): "repeat the noun",
    re.compile(r"\b(?:whoever|whomever|whatsoever)\b", re.IGNORECASE): "name the actor",
    re.compile(r"\bwhat(?:ever)? is (?:away|gone|there|here|lost|late)\b", re.IGNORECASE): "name the thing",
    re.compile(r"\bwho (?:is|are) (?:away|gone|late)\b", re.IGNORECASE): "name the actor",
    re.compile(r"^Who (?:\w+ ){4}[^?]*\.$"): "name the actor",
    re.compile(
        r"^What (?:is|has|can|comes|goes|does) [^?]*\b(?:is|are|was|stays|goes|serves) [^?]*\.$"
    ): "name the thing",
    re.compile(
        rf"\b(?:{_SOFTWARE}) (?:says?|said|knows?|knew|meets?|met|learns?|believes?|wants?|"
        r"thinks?|understands?|tells?|told)\b"
    ): "software returns, logs, reports, rejects",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A sentence against a rule. ``line`` counts from 1 in the text that was checked."""

    line: int
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.line}: {self.rule}: {self.sentence}"


def faults(markdown: str) -> Iterator[Fault]:
    """What is against the rules in ``markdown``; code blocks are not prose."""
    for token in _MARKDOWN.parse(markdown):
        if token.type == "inline":
            line = (token.map or [0])[0] + 1
            for sentence in _SENTENCE_END.split(_plain(token)):
                yield from (Fault(line, rule, sentence) for rule in _broken(sentence))


def python_faults(source: str) -> Iterator[Fault]:
    """What is against the rules in the docstrings and comments of a Python module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str):
                yield from _moved(faults(_dedented(text)), node.lineno)
    for line, comment in _comments(source):
        yield from _moved(faults(comment), line)


def help_faults(parser: argparse.ArgumentParser) -> Iterator[Fault]:
    """What is against the rules in the help of a command line and of its parts; its examples are code."""
    texts = [parser.description, *(action.help for action in parser._actions)]
    for text in texts:
        if text and text != argparse.SUPPRESS:
            yield from faults(text)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for part in action.choices.values():
                yield from help_faults(part)


def _broken(sentence: str) -> Iterator[str]:
    words = len(_WORD.findall(sentence))
    if words > MAX_WORDS:
        yield f"{words} words"
    found = {advice: match[0] for pattern, advice in _BANNED.items() if (match := pattern.search(sentence))}
    yield from (f"'{words}': {advice}" for advice, words in found.items())


def _plain(inline: Token) -> str:
    parts = {"code_inline": "CODE", "softbreak": " ", "hardbreak": " "}
    return "".join(parts.get(child.type, child.content) for child in inline.children or [])


def _dedented(docstring: str) -> str:
    """Without its indentation; examples are left out, and a drawn tree becomes a list."""
    first, *rest = docstring.expandtabs().splitlines() or [""]
    rest = [_BRANCH.sub(r"\1- ", "" if _DOCTEST.match(line) else line) for line in rest]
    indent = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first.strip(), *(line[indent:].rstrip() for line in rest)])


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Comments of adjoining lines as one text, with the number of its first line."""
    begun, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or re.match(r"#(?:!| noqa| type:| pragma|: )", token.string):
            continue
        line, column = token.start
        text = token.string.lstrip("# ")
        alone = not token.line[:column].strip()
        if lines and alone and line == begun + len(lines):
            lines.append(text)
            continue
        if lines:
            yield begun, "\n".join(lines)
        begun, lines = line, [text]
    if lines:
        yield begun, "\n".join(lines)


def _moved(found: Iterator[Fault], line: int) -> Iterator[Fault]:
    for fault in found:
        yield Fault(fault.line + line - 1, fault.rule, fault.sentence)
