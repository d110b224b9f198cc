"""Writes ``docs/protocol.md`` from the message types: ``python -m signaling.protocol_document``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, get_args

import msgspec
from msgspec import StructMeta

from signaling import findings, messages
from signaling.jpeg import MAX_PROGRESSIVE_PIXELS, MAX_SIDE
from signaling.websocket import FRAME_BYTES_PER_S, FRAMES_PER_S

_INTRODUCTION = """\
# The protocol on `/ws/inference`

Generated from `messages.py` and `findings.py` in `signaling/` by `make docs`; a test keeps it true.
Version {version}.

Text frames are JSON objects whose `type` names the message; they may have {text} bytes. Unknown fields are
ignored. A binary frame from the client is one JPEG picture of at most {jpeg} bytes: the way in where UDP is
blocked. Its capture time may stand in a comment segment (marker `FFFE`) with the text
`capture_time_ms=<Unix milliseconds>`; `result.frame.capture_time_ms` then repeats it.

A JPEG picture is Huffman-coded, has 8 bits a sample, one component or three, and sides of {side} pixels at
most; a progressive one has {progressive} pixels at most. Others get the error `bad_frame`. Where more than
{frames} frames or {frame_bytes} bytes of them come in a second some are dropped, and the client gets the
error `rate_limited` once a second at most; it is fatal only after a long flood.

```
client                                server
  hello ───────────────────────────▶          first message; within 5 s
          ◀─────────────────────── welcome    session, resume token, limits, models
  offer ───────────────────────────▶          SDP: one video track, a data channel `results` if wanted
          ◀──────────────────────── answer    SDP with all of the server's candidates
  candidate ───────────────────────▶          trickle ICE (RFC 8838); null ends
          ◀──────────────────────── result    on the data channel, or here
          ◀───────────────────────── event    always here: must not be lost
  configure · trigger · ping · report         at any time after welcome
  bye ─────────────────────────────▶
          ◀─────────────────────── closing    the last message, with its reason
```

The data channel is opened by the client, unordered and without retransmits: a late result is worth nothing.
The server pings the socket (RFC 6455, 5.5.2); a socket or media that is silent for
`limits.liveness_timeout_s` ends the connection. A client that comes back within `limits.resume_window_s`
with `hello.resume` goes on with its session: same id, same tracks, same numbering.

A server with keys wants a session token in `hello.token`, else it answers `error` `unauthorized` and closes;
[Access](access.md) says what a token is. With `hello.resume` of a session that still waits, the token may
have expired since.

Boxes are x, y, width, height. Like all points they are normalised to the frame that was sent, 0..1 from its
top left.
"""


_PARTS = (
    messages.PipelineConfig,
    messages.IceCandidate,
    messages.IceServer,
    messages.Limits,
    messages.Model,
    messages.FrameInfo,
    findings.WireDetection,
    findings.WirePose,
    findings.WireSegment,
    findings.WireText,
    findings.WireMotion,
)


def protocol_document() -> str:
    """The text of ``docs/protocol.md``."""
    sections = [
        _INTRODUCTION.format(
            version=messages.PROTOCOL_VERSION,
            jpeg=messages.MAX_JPEG_BYTES,
            text=messages.MAX_TEXT_BYTES,
            side=MAX_SIDE,
            progressive=MAX_PROGRESSIVE_PIXELS,
            frames=FRAMES_PER_S,
            frame_bytes=FRAME_BYTES_PER_S,
        ),
        "## From the client\n",
        *map(_message_section, get_args(messages.ClientMessage)),
        "## From the server\n",
        *map(
            _message_section,
            [kind for kind in get_args(messages.ServerMessage) if kind is not messages.Candidate],
        ),
        "## Parts\n",
        *map(_part_section, _PARTS),
        "## Codes\n",
        _codes("`error.code`", messages.ErrorCode),
        _codes("`closing.reason`", messages.EndReason),
        _codes("`state` of an event", messages.ServerState),
        _codes("Keys of `result.dropped`", messages.Drop),
        "## JSON Schema\n",
        _schema(),
    ]
    return "\n".join(sections)


def _message_section(kind: StructMeta) -> str:
    config = kind.__struct_config__
    name = f"`{config.tag}`" if config.tag_field == "type" else f"`{config.tag_field}` `{config.tag}`"
    return f"### {name}\n\n{_words(kind)}\n\n{_field_table(kind)}"


def _part_section(kind: StructMeta) -> str:
    return f"### {kind.__name__}\n\n{_words(kind)}\n\n{_field_table(kind)}"


def _words(kind: StructMeta) -> str:
    return (inspect.getdoc(kind) or "").replace("``", "`")


def _field_table(kind: StructMeta) -> str:
    schema = _definitions([kind])[kind.__name__]
    required = set(schema.get("required", ()))
    rows = [
        f"| `{name}` | {_kind(field)} | {'yes' if name in required else 'no'} |"
        for name, field in schema["properties"].items()
        if name not in ("type", kind.__struct_config__.tag_field)
    ]
    if not rows:
        return "No fields.\n"
    return "\n".join(["| field | type | required |", "|---|---|---|", *rows, ""])


def _kind(field: dict[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(arm) for arm in field["anyOf"]))
    if "$ref" in field:
        return f"`{field['$ref'].rsplit('/', 1)[-1]}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if field.get("type") == "array":
        items = field.get("items") or {}
        inner = _kind(items) if items else ", ".join(map(_kind, field.get("prefixItems", [])))
        return f"array of {inner}"
    if field.get("type") == "object" and "additionalProperties" in field:
        return f"object of {_kind(field['additionalProperties'])}"
    bounds = [f"{sign} {field[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in field]
    return " ".join([str(field.get("type", "any")), *bounds])


def _codes(title: str, codes: type[StrEnum]) -> str:
    return f"{title}: " + ", ".join(f"`{code}`" for code in codes) + ".\n"


def _schema() -> str:
    kinds = [*get_args(messages.ClientMessage), *get_args(messages.ServerMessage)]
    return f"```json\n{json.dumps(_definitions(kinds), indent=1, sort_keys=True, ensure_ascii=False)}\n```\n"


def _definitions(kinds: Iterable[Any]) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components(list(kinds), ref_template="#/$defs/{name}")
    return definitions


if __name__ == "__main__":
    sys.stdout.write(protocol_document())
