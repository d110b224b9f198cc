from __future__ import annotations

import json
from datetime import timedelta

import pytest

from lambdas.errors import Denied
from lambdas.tokens import Audience, InvalidToken, Keyring, mint, verify
from signaling import auth
from tests.lambdas.world import EPOCH, KEYS, World

LIFE = timedelta(minutes=15)


def test_a_token_names_its_bearer() -> None:
    token = mint(KEYS, Audience.API, "ada", EPOCH, LIFE)
    assert verify(KEYS, Audience.API, token, EPOCH + LIFE) == "ada"


def test_expires() -> None:
    token = mint(KEYS, Audience.API, "ada", EPOCH, LIFE)
    with pytest.raises(InvalidToken, match="expired"):
        verify(KEYS, Audience.API, token, EPOCH + LIFE + timedelta(seconds=11))


def test_opens_one_door_only() -> None:
    token = mint(KEYS, Audience.SESSION, "ada", EPOCH, LIFE)
    with pytest.raises(InvalidToken):
        verify(KEYS, Audience.API, token, EPOCH)


@pytest.mark.parametrize("token", ["", "no token", "a.b.c", "[" * 4000 + ".e30.x"])
def test_garbage_is_refused(token: str) -> None:
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
    assert auth.verify(token, KEYS, accepted, EPOCH.timestamp()).subject == "ada"


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

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"k1": 7}'])
    def test_refuses_a_secret_that_is_no_key_set(self, world: World, text: str) -> None:
        secrets = world.session.client("secretsmanager")
        secrets.put_secret_value(SecretId=world.settings.keys_secret, SecretString=text or " ")
        try:
            with pytest.raises(Denied, match="key id"):
                Keyring(secrets, world.settings.keys_secret, lambda: world.now).keys()
        finally:
            secrets.put_secret_value(SecretId=world.settings.keys_secret, SecretString=json.dumps(KEYS))
