from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.errors import Denied, Throttled
from lambdas.tokens import Audience, mint, verify
from tests.lambdas.world import World
from tests.support.token_vectors import KEYS, TOKENS, TokenVector

HEADER_TOKENS = [
    vector
    for vector in TOKENS
    if vector.refused and vector.keys is None and isinstance(vector.made_for(Audience.API), str)
]
CALLS = {
    "start": ("DescribeInstances", "UpdateSchedule", "CreateSchedule", "StartInstances"),
    "status": ("DescribeInstances",),
    "stop": ("DescribeInstances",),
}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RequestLimitExceeded", 429),
        ("UnauthorizedOperation", 500),
        ("InsufficientInstanceCapacity", 503),
        ("Unheard", 502),
    ],
)
@pytest.mark.parametrize(("name", "operation"), [(n, o) for n, ops in CALLS.items() for o in ops])
def test_any_failing_call_gives_a_typed_answer(
    world: World, name: str, operation: str, code: str, status: int
) -> None:
    with world.failing(operation, code):
        answer = world.press(name)
    assert answer["http"] == status
    assert answer["message"]


def test_an_error_says_when_to_try_again(world: World) -> None:
    with world.failing("DescribeInstances", "Throttling"):
        event = {"requestContext": {"authorizer": {"lambda": {"sub": "ada"}}}}
        answer = world.handlers.status(event, None)
    assert answer["headers"]["retry-after"] == "5"
    assert answer["headers"]["cache-control"] == "no-store"


def test_status_is_200_in_every_state(world: World) -> None:
    assert world.press("status")["http"] == 200


def test_the_user_may_come_from_cognito(world: World) -> None:
    event: dict[str, Any] = {"requestContext": {"authorizer": {"jwt": {"claims": {"sub": "grace"}}}}}
    assert world.handlers.start(event, None)["statusCode"] == 202


def test_a_failing_reaper_is_heard(world: World) -> None:
    with world.failing("DescribeInstances", "Throttling"), pytest.raises(Throttled):
        world.reap()


@contextmanager
def unusable_keys(world: World) -> Iterator[None]:
    """The secret is no key set, and the functions look at it again: it is long after any other test."""
    secrets = world.session.client("secretsmanager")
    secrets.put_secret_value(SecretId=world.settings.keys_secret, SecretString='{"k1": "short"}')
    world.advance(timedelta(days=3650))
    try:
        yield
    finally:
        secrets.put_secret_value(SecretId=world.settings.keys_secret, SecretString=json.dumps(KEYS))


def test_without_usable_keys_no_machine_is_started(world: World) -> None:
    with unusable_keys(world):
        answer = world.press("start")
    assert (answer["http"], answer["error"]) == (500, "denied")
    assert "signing keys" in answer["message"]
    assert world.starts == 0


class TestAuthorize:
    def allowed(self, world: World, authorization: str | None) -> bool:
        headers = {} if authorization is None else {"authorization": authorization}
        return bool(world.handlers.authorize({"headers": headers}, None)["isAuthorized"])

    def test_lets_a_bearer_in_and_says_who(self, world: World) -> None:
        event = {"headers": {"authorization": f"Bearer {world.api_token()}"}}
        assert world.handlers.authorize(event, None) == {
            "isAuthorized": True,
            "context": {"sub": "ada", "costs": False},
        }

    def test_refuses_everyone_else(self, world: World) -> None:
        session = mint(KEYS, Audience.SESSION, "ada", world.now, timedelta(hours=1))
        for authorization in (
            None,
            "",
            "Bearer",
            "Bearer x",
            f"Bearer {session}",
            f"Basic {world.api_token()}",
        ):
            assert not self.allowed(world, authorization)

    @pytest.mark.parametrize("vector", HEADER_TOKENS, ids=[vector.name for vector in HEADER_TOKENS])
    def test_refuses_every_bad_token(self, world: World, vector: TokenVector) -> None:
        world.now = datetime.fromtimestamp(vector.now, UTC)
        assert not self.allowed(world, f"Bearer {vector.made_for(Audience.API)}")

    def test_says_that_it_has_no_keys_rather_than_that_a_token_is_bad(self, world: World) -> None:
        with unusable_keys(world), pytest.raises(Denied):
            self.allowed(world, f"Bearer {world.api_token()}")

    def test_refuses_an_expired_token(self, world: World) -> None:
        token = world.api_token(timedelta(minutes=1))
        world.advance(timedelta(minutes=2))
        assert not self.allowed(world, f"Bearer {token}")


def test_the_session_token_is_fresh_at_each_press(world: World) -> None:
    world.run()
    world.advance(timedelta(minutes=14))
    token = world.press("start")["token"]
    assert verify(KEYS, Audience.SESSION, token, world.now + timedelta(minutes=14)) == "ada"
