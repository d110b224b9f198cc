"""Every parser on the kept inputs and on damaged copies of them: typed errors alone, each input quick."""

from __future__ import annotations

import pytest

from tests.fuzz import target
from tests.fuzz.budget import spend
from tests.fuzz.inputs import CORPUS, FOUND, kept, mutations

SEED = 20240229


@pytest.mark.parametrize("name", target.NAMES)
def test_the_kept_inputs_are_handled(name: str) -> None:
    found = target.load(name)
    inputs = kept(name)
    assert any(file.startswith("corpus/") for file in inputs)
    for data in (b"", *inputs.values()):
        spend(found.budget, found.one_input, data)


@pytest.mark.parametrize("name", target.NAMES)
def test_damaged_inputs_are_handled(name: str) -> None:
    found = target.load(name)
    for data in mutations(list(kept(name).values()), found.mutations, SEED):
        spend(found.budget, found.one_input, data)


def test_every_kept_input_belongs_to_a_target() -> None:
    assert {path.name for folder in (CORPUS, FOUND) for path in folder.iterdir()} <= set(target.NAMES)
