from __future__ import annotations

from pathlib import Path

from mediaserver.settings.document import settings_document

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_document_is_what_the_settings_say() -> None:
    assert DOCUMENT.read_text() == settings_document(), "run `make docs`"
