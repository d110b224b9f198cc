from __future__ import annotations

import pytest

from inference import account as module
from inference.account import HALF_LIFE_S, Account


def test_what_was_used_fades_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    account = Account()
    assert account.used_s == 0
    account.charge(1.0)
    assert account.used_s == 1
    now += HALF_LIFE_S
    assert account.used_s == pytest.approx(0.5)
    account.charge(1.0)
    assert account.used_s == pytest.approx(1.5)
    now += 100 * HALF_LIFE_S
    assert account.used_s < 1e-9
