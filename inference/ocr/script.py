"""The script of a text. Texts in another script are taken for misread textures."""

from __future__ import annotations

import unicodedata
from enum import StrEnum


class Script(StrEnum):
    """The script of accepted texts."""

    LATIN = "latin"
    """Latin letters, with any accents; digits and signs."""
    ANY = "any"
    """All characters of the recogniser."""

    def has(self, text: str) -> bool:
        """Whether all letters of ``text`` are of this script."""
        return self is Script.ANY or all(map(_is_latin, filter(str.isalpha, text)))


def _is_latin(letter: str) -> bool:
    # "Ａ" is FULLWIDTH LATIN CAPITAL LETTER A, which the recogniser returns for wide letters.
    return "LATIN" in unicodedata.name(letter, "").split()
