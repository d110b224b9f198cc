from __future__ import annotations

from enum import StrEnum

from signaling.attribute_docstrings import attribute_docstrings


class Documented:
    """Not this."""

    told: int = 1
    """On one line,
    though it stands on two."""
    silent: int = 2
    last: str
    """The last."""


class Word(StrEnum):
    """Not this."""

    SAID = "said"
    """A member."""


def test_each_attribute_has_the_string_below_it() -> None:
    assert attribute_docstrings(Documented) == {
        "told": "On one line, though it stands on two.",
        "last": "The last.",
    }


def test_members_of_an_enumeration_have_theirs() -> None:
    assert attribute_docstrings(Word) == {"SAID": "A member."}
