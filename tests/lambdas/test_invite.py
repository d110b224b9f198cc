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


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "whose it is"), (b"ada\xff".decode(errors="surrogateescape"), "whose it is"), ("a" * 4096, "4096")],
    ids=["empty", "not UTF-8", "too long"],
)
def test_a_name_that_makes_no_good_token_is_refused(
    world: World, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([name, "--secret", world.settings.keys_secret, "--region", REGION])
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


@pytest.mark.parametrize("days", ["0", "-1", "9999999999"])
def test_a_life_that_is_none_is_refused(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["ada", "--secret", "any", "--days", days])
    assert "1 to 3650" in capsys.readouterr().err
