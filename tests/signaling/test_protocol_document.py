from __future__ import annotations

from pathlib import Path

from signaling.protocol_document import protocol_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_document_is_what_the_message_types_say() -> None:
    assert DOCUMENT.read_text() == protocol_document(), "run `make docs`"
