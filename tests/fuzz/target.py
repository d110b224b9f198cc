"""The targets by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import targets
from tests.fuzz.budget import Budget

NAMES = tuple(module.name for module in pkgutil.iter_modules(targets.__path__))


@dataclass(frozen=True, slots=True)
class Target:
    one_input: Callable[[bytes], None]
    budget: Budget
    mutations: int


def load(name: str) -> Target:
    module = importlib.import_module(f"{targets.__name__}.{name}")
    return Target(module.one_input, getattr(module, "BUDGET", Budget()), getattr(module, "MUTATIONS", 2000))
