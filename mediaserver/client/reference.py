"""Writes the reference in ``docs/python.md`` from docstrings: ``python -m mediaserver.client.reference``,
then the file. Text before the mark stays as it is.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mediaserver.client.annotate import draw, write_annotated
from mediaserver.client.channel import Channel
from mediaserver.client.client import InferenceClient
from mediaserver.client.comparison import Comparison, compare, read_results
from mediaserver.client.errors import ClientError, ClipError, Refused, Unreachable
from mediaserver.client.stats import ClientStats
from mediaserver.client.timeline import Timeline
from signaling.attribute_docstrings import attribute_docstrings

MARK = "<!-- generated from docstrings by `make docs`; everything below -->\n"
_CLASSES = (
    *(InferenceClient, ClientStats, Channel, Timeline),
    *(ClientError, Unreachable, Refused, ClipError, Comparison),
)
_INTERNAL = {"add", "sent"}
"""Methods that the client calls itself."""
_FUNCTIONS = (read_results, compare, write_annotated, draw)


def reference() -> str:
    """The section ``Reference``."""
    parts = ["## Reference\n", *map(_class, _CLASSES), *(_function(item, "###") for item in _FUNCTIONS)]
    return "\n".join(parts)


def updated(document: str) -> str:
    """``document`` with the current reference after the mark."""
    written, mark, _ = document.partition(MARK)
    assert mark, f"the document has no line {MARK!r}"
    return f"{written}{mark}\n{reference()}"


def _class(kind: type) -> str:
    text = f"### `{kind.__module__}.{kind.__name__}`\n\n"
    if issubclass(kind, Exception | InferenceClient) and "__init__" in vars(kind):
        text += f"```text\n{_signature(kind.__name__, vars(kind)['__init__'])}\n```\n\n"
    text += f"{_prose(kind)}\n"
    if fields := list(_fields(kind)):
        text += "\n| attribute | meaning |\n|---|---|\n" + "".join(
            f"| `{name}` | {words} |\n" for name, words in fields
        )
    for name, member in vars(kind).items():
        if inspect.isfunction(member) and not name.startswith("_") and name not in _INTERNAL:
            text += f"\n{_function(member, '####')}"
    return text


def _function(function: Callable[..., Any], heading: str) -> str:
    begin = "await " if inspect.iscoroutinefunction(function) else ""
    begin = "async for … in " if inspect.isasyncgenfunction(function) else begin
    signature = f"{begin}{_signature(function.__name__, function)}"
    return f"{heading} `{function.__name__}`\n\n```text\n{signature}\n```\n\n{_prose(function)}\n"


def _signature(name: str, function: Callable[..., Any]) -> str:
    """As in the source, without ``self`` and without the bodies of defaults; a parameter a line if long."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    node.args.args = [argument for argument in node.args.args if argument.arg != "self"]
    node.args.kw_defaults = [
        ast.Constant(...) if isinstance(default, ast.Lambda) else default for default in node.args.kw_defaults
    ]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and name == node.name else ""
    short = f"{name}({ast.unparse(node.args)}){returns}"
    if len(short) <= 100:
        return short
    parameters = re.split(r", (?=\w+:|\*)", ast.unparse(node.args))
    lines = "".join(f"    {parameter},\n" for parameter in parameters)
    return f"{name}(\n{lines}){returns}"


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    """Attributes and properties with their docstrings."""
    for name, words in attribute_docstrings(kind).items():
        yield name, _one_line(words)
    for name, member in vars(kind).items():
        if isinstance(member, property):
            yield name, _one_line(member.__doc__ or "")


def _prose(item: Any) -> str:
    return _as_markdown(inspect.getdoc(item) or "")


def _one_line(docstring: str) -> str:
    return " ".join(_as_markdown(docstring).split())


def _as_markdown(docstring: str) -> str:
    return docstring.replace("``", "`")


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text("utf-8")), "utf-8")
