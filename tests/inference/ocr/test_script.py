from __future__ import annotations

import pytest

from inference.ocr.reader import Legible
from inference.ocr.script import Script


@pytest.mark.parametrize("text", ["EXIT 7", "Größe 12 €", "São Paulo", "ＣＡＦＥ", "24/7", "№ 5 – 10:30", ""])
def test_latin_has_any_accents_digits_and_signs(text: str) -> None:
    assert Script.LATIN.has(text)


@pytest.mark.parametrize("text", ["00000二", "出口", "ВЫХОД", "ΕΞΟΔΟΣ", "EXIT 出口"])
def test_letters_of_other_scripts_are_not_latin(text: str) -> None:
    assert not Script.LATIN.has(text)
    assert Script.ANY.has(text)


def test_a_line_is_legible_with_enough_score_and_in_the_script() -> None:
    legible = Legible(min_score=0.8)
    assert legible.has("OPEN", 0.8)
    assert not legible.has("OPEN", 0.79)
    assert not legible.has("开门", 0.99)
    assert Legible(0.8, Script.ANY).has("开门", 0.99)


@pytest.mark.parametrize("text", ["X", "à", "7", "- 7 -", "…", ""])
def test_a_single_letter_is_no_text(text: str) -> None:
    assert not Legible().has(text, 1.0)
