from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from lambdas import invite, revoke
from lambdas.dev.cloud import REGION
from lambdas.errors import Denied
from lambdas.tokens import Audience, mint, parse_secret
from tests.lambdas.world import KEYS, World


@pytest.fixture
def secret(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The world's time is the real one: the commands know no other."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    world.now = datetime.now(UTC)
    yield world.settings.keys_secret
    client = world.session.client("secretsmanager")
    client.put_secret_value(SecretId=world.settings.keys_secret, SecretString=json.dumps(KEYS))


def let_in(world: World, token: str) -> bool:
    event = {"headers": {"authorization": f"Bearer {token}"}}
    return bool(world.handlers.authorize(event, None)["isAuthorized"])


def invitation(secret: str, name: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert invite.main([name, "--secret", secret, "--region", REGION]) == 0
    return capsys.readouterr().out.strip()


def test_one_person_is_out_within_a_minute_and_nobody_else(
    world: World, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ada, grace = (invitation(secret, name, capsys) for name in ("ada", "grace"))
    assert let_in(world, ada)
    assert revoke.main(["ada", "--secret", secret, "--region", REGION]) == 0
    world.advance(timedelta(seconds=30))
    assert not let_in(world, ada)
    assert let_in(world, grace)


def test_who_is_invited_anew_is_in(world: World, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert revoke.main(["ada", "--secret", secret, "--region", REGION]) == 0
    world.advance(timedelta(minutes=1))
    old = mint(KEYS, Audience.API, "ada", world.now - timedelta(hours=1), timedelta(days=1))
    new = mint(KEYS, Audience.API, "ada", world.now, timedelta(days=1))
    assert (let_in(world, old), let_in(world, new)) == (False, True)


def test_without_the_secret_says_so(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert revoke.main(["ada", "--secret", "another", "--region", REGION]) == 1
    assert "ResourceNotFound" in capsys.readouterr().err


@pytest.mark.parametrize("revoked", ["[]", '{"ada": "now"}', '{"ada": true}', "null"])
def test_a_list_that_cannot_be_read_lets_nobody_in(revoked: str) -> None:
    with pytest.raises(Denied, match="revoked"):
        parse_secret(f'{{"k1": "{"k" * 32}", "revoked": {revoked}}}')
