from __future__ import annotations

from pathlib import Path

from msgspec import Struct, StructMeta

from signaling import findings
from signaling.protocol_document import protocol_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_document_is_what_the_message_types_say() -> None:
    assert DOCUMENT.read_text() == protocol_document(), "run `make docs`"


def test_everything_that_can_be_found_has_its_section() -> None:
    kinds = [kind for kind in vars(findings).values() if isinstance(kind, StructMeta) and kind is not Struct]
    assert len(kinds) >= 5
    for kind in kinds:
        assert f"### {kind.__name__}\n" in protocol_document()
