from __future__ import annotations

from pathlib import Path

import pytest

from mediaserver.client.reference import MARK, reference, updated

DOCUMENT = Path(__file__).parents[3] / "docs" / "python.md"


def test_the_document_has_the_current_reference() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text == updated(text), "run `make docs`"


def test_text_before_the_mark_stays() -> None:
    assert updated(f"words\n{MARK}old") == f"words\n{MARK}\n{reference()}"
    with pytest.raises(AssertionError):
        updated("no mark")


def test_methods_properties_and_fields_are_in_it() -> None:
    text = reference()
    for name in ("async for … in stream(", "| `welcome` |", "| `frames_sent` |", "await configure("):
        assert name in text
    assert "_begin_anew" not in text
