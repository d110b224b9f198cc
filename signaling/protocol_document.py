"""Writes ``docs/protocol.md``: ``python -m signaling.protocol_document``.

The prose is in ``protocol_template.md`` beside this module. The tables come from the message types and their
docstrings, the examples from `signaling.protocol_examples`.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from signaling import codes, findings, messages, pipeline_config
from signaling.attribute_docstrings import attribute_docstrings
from signaling.codec import encode
from signaling.jpeg import MAX_PROGRESSIVE_PIXELS, MAX_SIDE, with_capture_time
from signaling.protocol_examples import SESSION, example_of
from signaling.protocol_schema import CLIENT_MESSAGES, SERVER_MESSAGES, definitions_of, plain
from signaling.protocol_tables import ENDS, ERRORS
from signaling.websocket import FRAME_BYTES_PER_S, FRAMES_PER_S, MAX_MESSAGE_BYTES

_TEMPLATE = Path(__file__).with_name("protocol_template.md")
_PLACE = re.compile(r"\{\{ (\w+) \}\}")

PARTS: tuple[type[Struct], ...] = (
    pipeline_config.PipelineConfig,
    messages.IceCandidate,
    messages.IceServer,
    messages.Limits,
    pipeline_config.Model,
    findings.FrameInfo,
    findings.WireDetection,
    findings.WirePose,
    findings.WireSegment,
    findings.WireText,
    findings.WireMotion,
)
_WORDS: tuple[type[StrEnum], ...] = (
    *(codes.ServerState, codes.MediaFailureCause),
    *(codes.Drop, codes.ResultChannel),
)


def protocol_document() -> str:
    """The text of ``docs/protocol.md``."""
    texts = {
        "version": f"{messages.PROTOCOL_VERSION}",
        "max_text": f"{messages.MAX_TEXT_BYTES}",
        "max_jpeg": f"{messages.MAX_JPEG_BYTES}",
        "max_message": f"{MAX_MESSAGE_BYTES}",
        "max_side": f"{MAX_SIDE}",
        "max_progressive": f"{MAX_PROGRESSIVE_PIXELS}",
        "frames_per_s": f"{FRAMES_PER_S}",
        "frame_bytes_per_s": f"{FRAME_BYTES_PER_S}",
        "comment_bytes": with_capture_time(b"\xff\xd8", 1_764_554_400_000.0).hex(" ").upper(),
        "client_messages": "\n".join(map(_message_section, CLIENT_MESSAGES)),
        "server_messages": "\n".join(map(_message_section, SERVER_MESSAGES)),
        "parts": "\n".join(map(_part_section, PARTS)),
        "words": "\n".join(map(_words_section, _WORDS)),
        "errors": _table_of(codes.ErrorCode, ("fatal", "remedy"), ERRORS),
        "ends": _table_of(codes.EndReason, ("resumable", "`retry_after_s`", "what the client does"), ENDS),
        "session": _session(),
    }
    return _PLACE.sub(lambda place: texts[place[1]], _TEMPLATE.read_text())


def _message_section(kind: type[Struct]) -> str:
    config = kind.__struct_config__
    name = f"`{config.tag}`" if config.tag_field == "type" else f"`event` `{config.tag}`"
    example = json.loads(encode(example_of(kind)))  # type: ignore[arg-type]
    return f"### {name}\n\n{_about(kind)}\n```json\n{_laid_out(example)}\n```\n"


def _part_section(kind: type[Struct]) -> str:
    return f"### {kind.__name__}\n\n{_about(kind)}"


def _about(kind: type[Struct]) -> str:
    rows = list(_rows(kind))
    table = "\n".join(["| field | type | if absent | meaning |", "|---|---|---|---|", *rows])
    return f"{plain(inspect.getdoc(kind) or '')}\n\n{table if rows else 'No fields.'}\n"


def _rows(kind: type[Struct]) -> Iterator[str]:
    docstrings = attribute_docstrings(kind)
    properties = definitions_of([kind])[kind.__name__]["properties"]
    for field in msgspec.structs.fields(kind):
        if field.name != "type":
            name, meaning = field.encode_name, plain(docstrings[field.name])
            yield f"| `{name}` | {_kind(properties[name])} | {_default(field)} | {meaning} |"


def _default(field: Any) -> str:
    if field.required:
        return "required"
    if field.default is UNSET:
        return "see meaning"
    default = {} if field.default is msgspec.NODEFAULT else field.default
    return f"`{json.dumps(default)}`"


def _kind(field: dict[str, Any]) -> str:
    """A JSON Schema in a few words."""
    match field:
        case {"anyOf": kinds}:
            words = " or ".join(map(_kind, kinds))
        case {"$ref": reference}:
            name = reference.rsplit("/", 1)[-1]
            words = f"[{name}](#{name.lower()})"
        case {"enum": values}:
            words = ", ".join(f"`{value}`" for value in values)
        case {"prefixItems": items}:
            words = f"({', '.join(map(_kind, items))})"
        case {"type": "array"}:
            most = f", {field['maxItems']} at most" if "maxItems" in field else ""
            words = f"array of {_kind(field['items'])}{most}"
        case {"type": "object"}:
            words = f"object of {_kind(field['additionalProperties'])}"
        case _:
            words = " ".join([field["type"], *_bounds(field)])
    return words


def _bounds(field: dict[str, Any]) -> list[str]:
    if "pattern" in field:
        return [f"`{field['pattern']}`"]
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    bounds = [
        f"{sign} {msgspec.json.encode(field[key]).decode()}" for key, sign in signs.items() if key in field
    ]
    return [*bounds, f"≤ {field['maxLength']} characters"] if "maxLength" in field else bounds


def _words_section(kind: type[StrEnum]) -> str:
    return f"### {kind.__name__}\n\n{plain(inspect.getdoc(kind) or '')}\n\n{_table_of(kind, (), {})}\n"


def _table_of(kind: type[StrEnum], columns: tuple[str, ...], cells: Mapping[Any, tuple[str, ...]]) -> str:
    docstrings = attribute_docstrings(kind)
    head = ["value", "meaning", *columns]
    rows = [[f"`{word}`", plain(docstrings[word.name]), *cells.get(word, ())] for word in kind]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _session() -> str:
    arrows = {True: "→", False: "←"}
    lines = [
        f"{arrows[kind in CLIENT_MESSAGES]} {encode(example_of(kind))}"  # type: ignore[arg-type]
        for kind in SESSION
    ]
    return "\n".join(lines)


def _laid_out(value: Any, indent: str = "") -> str:
    """JSON with one field a line, and lists and small objects on one."""
    inner = indent + "  "
    if isinstance(value, dict) and (not indent or len(json.dumps(value)) > 90):
        fields = [f"{inner}{json.dumps(name)}: {_laid_out(each, inner)}" for name, each in value.items()]
        return "{\n" + ",\n".join(fields) + f"\n{indent}}}"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(protocol_document())
