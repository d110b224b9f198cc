"""Writes ``docs/protocol.schema.json``: ``python -m signaling.protocol_schema``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, get_args

import msgspec
from msgspec import Struct

from signaling import codes, findings, messages, pipeline_config
from signaling.attribute_docstrings import attribute_docstrings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
CLIENT_MESSAGES: Sequence[type[Struct]] = get_args(messages.ClientMessage)
SERVER_MESSAGES: Sequence[type[Struct]] = [
    kind for kind in get_args(messages.ServerMessage) if kind is not messages.Candidate
]
"""The server sends no candidate: its answers have them all."""

_EVENTS = (messages.OcrEvent, messages.StateEvent)


def protocol_schema() -> dict[str, Any]:
    """The root takes any message. ``ClientMessage`` and ``ServerMessage`` take those of one side."""
    definitions = definitions_of([*CLIENT_MESSAGES, *SERVER_MESSAGES])
    definitions["ClientMessage"] = _any_of(CLIENT_MESSAGES)
    definitions["ServerMessage"] = _any_of(SERVER_MESSAGES)
    return {
        "$schema": DIALECT,
        "title": "Messages on /ws/inference",
        "description": f"Version {messages.PROTOCOL_VERSION}. docs/protocol.md says what they mean.",
        "anyOf": [_reference("ClientMessage"), _reference("ServerMessage")],
        "$defs": dict(sorted(definitions.items())),
    }


def definitions_of(kinds: Iterable[type]) -> dict[str, dict[str, Any]]:
    """A schema for each of ``kinds``, and for each type in them, by its name."""
    _, definitions = msgspec.json.schema_components(list(kinds), ref_template="#/$defs/{name}")
    for name, schema in definitions.items():
        kind = _named(name)
        schema["description"] = plain(inspect.getdoc(kind) or "")
        if not issubclass(kind, StrEnum):
            _describe_fields(schema, kind)
    return definitions


def plain(words: str) -> str:
    """A docstring as Markdown, on one line."""
    return " ".join(words.replace("``", "`").split())


def _describe_fields(schema: dict[str, Any], kind: type[Struct]) -> None:
    docstrings = attribute_docstrings(kind)
    for field in msgspec.structs.fields(kind):
        if field.name in docstrings:
            schema["properties"][field.encode_name]["description"] = plain(docstrings[field.name])
    if kind in _EVENTS:
        schema["required"] = ["type", *schema["required"]]  # it is sent always, though it has a default


def _named(name: str) -> Any:
    return next(
        vars(module)[name] for module in (codes, findings, messages, pipeline_config) if name in vars(module)
    )


def _any_of(kinds: Sequence[type]) -> dict[str, Any]:
    return {"anyOf": [_reference(kind.__name__) for kind in kinds]}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


if __name__ == "__main__":
    json.dump(protocol_schema(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
