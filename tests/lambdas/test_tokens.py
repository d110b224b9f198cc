from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.errors import Denied
from lambdas.tokens import Audience, InvalidToken, Keyring, mint, parse_keys, verify
from signaling import auth
from tests.lambdas.world import EPOCH, World
from tests.signaling.test_auth import outcome as outcome_by_server
from tests.support.token_vectors import (
    KEY_SETS,
    KEYS,
    NOW,
    TOKENS,
    KeySetVector,
    Outcome,
    Refusal,
    TokenVector,
)

LIFE = timedelta(minutes=15)

texts = st.lists(st.text(max_size=10) | st.sampled_from("\ud800\udfff"), max_size=3).map("".join)
"""With halves of surrogate pairs."""
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
good_values = st.sampled_from(["HS256", "k1", "k2", "mediaserver", ["mediaserver"], ["b64"], NOW, NOW + 60])
borderline_values = st.sampled_from(
    [None, False, True, -1, 0, 1.5, 10**40, math.nan, math.inf, "", "\ud800", [], {}]
)
times = st.integers(NOW - 100, NOW + 100) | st.floats(NOW - 100, NOW + 100)
compact_forms = st.lists(st.binary(max_size=60), min_size=2, max_size=4).map(
    lambda parts: ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
)


def changes(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Members of a JSON object: mostly one of these names, and any other."""
    values = good_values | borderline_values | times | json_values
    return st.dictionaries(st.sampled_from(names), values, max_size=1) | st.dictionaries(
        st.sampled_from(names) | texts, values, max_size=3
    )


def verdicts(token: str, now: float) -> set[Outcome]:
    """What this verifier and the media server's make of it: one element where they agree."""
    return {
        outcome(token, KEYS, Audience.SESSION, now),
        outcome_by_server(token, KEYS, auth.Audience.SESSION, now),
    }


def outcome(token: Any, keys: Mapping[str, str], audience: Audience, now: float) -> Outcome:
    try:
        return verify(keys, audience, token, datetime.fromtimestamp(now, UTC))
    except InvalidToken as error:
        return Refusal.EXPIRED if str(error) == "expired" else Refusal.INVALID


@pytest.mark.parametrize("vector", TOKENS, ids=[vector.name for vector in TOKENS])
def test_tokens_are_judged_as_by_every_verifier_of_the_project(vector: TokenVector) -> None:
    keys = KEYS if vector.keys is None else vector.keys
    token = vector.made_for(Audience.SESSION)
    assert outcome(token, keys, Audience.SESSION, vector.now) == vector.expected


@pytest.mark.parametrize("vector", KEY_SETS, ids=[vector.name for vector in KEY_SETS])
def test_key_sets_are_judged_as_by_every_verifier_of_the_project(vector: KeySetVector) -> None:
    if vector.usable:
        assert parse_keys(vector.whole) == json.loads(vector.whole)
    else:
        with pytest.raises(Denied, match="key id"):
            parse_keys(vector.whole)


def test_a_minted_token_names_its_bearer_until_its_end() -> None:
    token = mint(KEYS, Audience.API, "ada", EPOCH, LIFE)
    assert verify(KEYS, Audience.API, token, EPOCH + LIFE) == "ada"
    with pytest.raises(InvalidToken, match="expired"):
        verify(KEYS, Audience.API, token, EPOCH + LIFE + timedelta(seconds=11))


def test_opens_one_door_only() -> None:
    token = mint(KEYS, Audience.SESSION, "ada", EPOCH, LIFE)
    with pytest.raises(InvalidToken):
        verify(KEYS, Audience.API, token, EPOCH)


def test_a_token_signed_before_the_rotation_still_opens() -> None:
    before = mint({"k1": KEYS["k1"]}, Audience.API, "ada", EPOCH, LIFE)
    assert verify(KEYS, Audience.API, before, EPOCH) == "ada"
    with pytest.raises(InvalidToken):
        verify({"k2": KEYS["k2"]}, Audience.API, before, EPOCH)


@pytest.mark.parametrize(
    ("minted", "accepted"),
    [(Audience.SESSION, auth.Audience.SESSION), (Audience.CONTROL, auth.Audience.CONTROL)],
)
def test_the_media_server_accepts_what_is_minted_here(minted: Audience, accepted: auth.Audience) -> None:
    token = mint(KEYS, minted, "ada", EPOCH, LIFE)
    assert auth.verify(token, KEYS, accepted, EPOCH.timestamp()) == "ada"


class TestBothVerifiers:
    """The media server's verifier and this one, on tokens that nobody thought of."""

    @settings(deadline=None, max_examples=400)
    @given(texts | compact_forms)
    def test_agree_on_anything_unsigned(self, token: str) -> None:
        assert verdicts(token, NOW) == {Refusal.INVALID}

    @settings(deadline=None, max_examples=400)
    @given(header=changes("alg", "kid", "crit", "b64"), claims=changes("aud", "sub", "exp", "nbf"), now=times)
    def test_agree_on_anything_signed(
        self, header: dict[str, Any], claims: dict[str, Any], now: float
    ) -> None:
        token = TokenVector("drawn", header=header, claims=claims).made_for(Audience.SESSION)
        assert len(verdicts(token, now)) == 1


class TestKeyring:
    def test_reads_the_secret_once_in_five_minutes(self, world: World) -> None:
        secrets = world.session.client("secretsmanager")
        keyring = Keyring(secrets, world.settings.keys_secret, lambda: world.now)
        assert keyring.keys() == KEYS
        rotated = KEYS | {"k3": "the newest key, of more than 32 bytes"}
        secrets.put_secret_value(SecretId=world.settings.keys_secret, SecretString=json.dumps(rotated))
        try:
            assert keyring.keys() == KEYS
            world.advance(timedelta(minutes=5))
            assert keyring.keys() == rotated
        finally:
            secrets.put_secret_value(SecretId=world.settings.keys_secret, SecretString=json.dumps(KEYS))

    @pytest.mark.parametrize("secret", [{"SecretString": "[]"}, {"SecretBinary": b"{}"}])
    def test_refuses_a_secret_that_is_no_key_set(self, world: World, secret: dict[str, Any]) -> None:
        secrets = world.session.client("secretsmanager")
        secrets.put_secret_value(SecretId=world.settings.keys_secret, **secret)
        try:
            with pytest.raises(Denied, match="key id"):
                Keyring(secrets, world.settings.keys_secret, lambda: world.now).keys()
        finally:
            secrets.put_secret_value(SecretId=world.settings.keys_secret, SecretString=json.dumps(KEYS))
