from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lambdas.dev.cloud import REGION
from lambdas.invite import main
from lambdas.tokens import Audience, verify
from tests.lambdas.world import KEYS, World


@pytest.fixture(autouse=True)
def _credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


def test_prints_a_token_for_the_api(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ada", "--secret", world.settings.keys_secret, "--region", REGION]) == 0
    token = capsys.readouterr().out.strip()
    assert verify(KEYS, Audience.API, token, datetime.now(UTC)) == "ada"


def test_without_the_secret_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ada", "--secret", "another", "--region", REGION]) == 1
    assert "ResourceNotFound" in capsys.readouterr().err
