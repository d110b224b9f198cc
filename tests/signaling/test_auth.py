from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from signaling.auth import Audience, BadKeys, Expired, Unauthorized, origin_allowed, parse_keys, verify
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


def outcome(token: str | None, keys: Mapping[str, str], audience: Audience, now: float) -> Outcome:
    try:
        return verify(token, keys, audience, now)
    except Expired:
        return Refusal.EXPIRED
    except Unauthorized:
        return Refusal.INVALID


class TestVerify:
    @pytest.mark.parametrize("vector", TOKENS, ids=[vector.name for vector in TOKENS])
    def test_judges_as_every_verifier_of_the_project(self, vector: TokenVector) -> None:
        keys = KEYS if vector.keys is None else vector.keys
        token = vector.made_for(Audience.SESSION)
        assert outcome(token, keys, Audience.SESSION, vector.now) == vector.expected

    @pytest.mark.parametrize(
        ("words", "vector"),
        [
            ("needed", TokenVector("none", token=None)),
            ("not a JWT", TokenVector("not made like one", token="a.b")),
            ("known key", TokenVector("signed by someone else", secret="x")),
            ("something else", TokenVector("another audience", claims={"aud": Audience.CONTROL})),
            ("something else", TokenVector("no audience", without=("aud",))),
            ("whose", TokenVector("no subject", claims={"sub": ""})),
            ("whole seconds", TokenVector("no end", without=("exp",))),
            ("not valid yet", TokenVector("a beginning in the future", claims={"nbf": NOW + 60})),
            ("expired", TokenVector("an end in the past", claims={"exp": NOW - 60})),
        ],
        ids=lambda value: value.name if isinstance(value, TokenVector) else None,
    )
    def test_says_why(self, words: str, vector: TokenVector) -> None:
        with pytest.raises(Unauthorized, match=words):
            verify(vector.made_for(Audience.SESSION), KEYS, Audience.SESSION, NOW)

    def test_a_token_opens_one_door_only(self) -> None:
        good = TokenVector("good")
        for made_for in Audience:
            for shown_to in Audience:
                expected = "ada" if made_for is shown_to else Refusal.INVALID
                assert outcome(good.made_for(made_for), KEYS, shown_to, NOW) == expected


class TestParseKeys:
    @pytest.mark.parametrize("vector", KEY_SETS, ids=[vector.name for vector in KEY_SETS])
    def test_judges_as_every_verifier_of_the_project(self, vector: KeySetVector) -> None:
        if vector.usable:
            assert parse_keys(vector.whole) == json.loads(vector.whole)
        else:
            with pytest.raises(BadKeys):
                parse_keys(vector.whole)

    def test_never_shows_a_key(self) -> None:
        with pytest.raises(BadKeys) as caught:
            parse_keys('{"k1": "hunter2"}')
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("origin", "answer"),
    [
        ("https://site.example", True),
        ("https://site.example.evil", False),
        ("http://site.example", False),
        ("https://gpu.example", False),
        ("null", False),
        (None, True),
    ],
)
def test_a_list_lets_in_its_origins_and_programs(origin: str | None, answer: bool) -> None:
    assert origin_allowed(origin, "gpu.example", ["https://site.example"]) is answer


@pytest.mark.parametrize(
    ("origin", "host", "answer"),
    [
        ("https://gpu.example", "gpu.example", True),
        ("https://GPU.example", "gpu.Example", True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("http://127.0.0.1:8081", "127.0.0.1:8080", False),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("https://site.example", "gpu.example", False),
        ("null", "gpu.example", False),
        ("null", "", False),
        ("", "", False),
        (None, "gpu.example", True),
    ],
)
def test_without_a_list_the_server_s_own_pages_and_programs_come_in(
    origin: str | None, host: str, answer: bool
) -> None:
    assert origin_allowed(origin, host, []) is answer
