from __future__ import annotations

import json
from collections.abc import Mapping

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from signaling.auth import (
    Audience,
    BadKeys,
    Expired,
    Unauthorized,
    can_sign,
    identify,
    origin_allowed,
    parse_keys,
    sign,
    verify,
)
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


PRIVATE = Ed25519PrivateKey.generate()
PUBLIC = json.loads(OKPAlgorithm.to_jwk(PRIVATE.public_key()))
BOTH = parse_keys(json.dumps({"k1": KEYS["k1"], "ed": PUBLIC}))


def signed_by(key: object, algorithm: str, key_id: str = "ed", **claims: object) -> str:
    claims = {"aud": Audience.SESSION, "sub": "ada", "exp": NOW + 60, **claims}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id})  # type: ignore[arg-type]


class TestPublicKeys:
    def test_let_in_whom_the_private_key_has_signed_for(self) -> None:
        assert verify(signed_by(PRIVATE, "EdDSA"), BOTH, Audience.SESSION, NOW) == "ada"
        assert verify(signed_by(KEYS["k1"], "HS256", "k1"), BOTH, Audience.SESSION, NOW) == "ada"

    @pytest.mark.parametrize(
        "token",
        [
            signed_by(Ed25519PrivateKey.generate(), "EdDSA"),
            signed_by(PRIVATE, "EdDSA", "k1"),
            # RFC 8725, section 2.1: the public key is known to everybody, and is no secret of HS256.
            signed_by(PUBLIC["x"] * 2, "HS256"),
            signed_by(json.dumps(PUBLIC)[1:-1], "HS256"),
            signed_by(None, "none"),
        ],
        ids=["another key", "another key's id", "x as a secret", "the JWK as a secret", "not signed"],
    )
    def test_let_in_nobody_else(self, token: str) -> None:
        with pytest.raises(Unauthorized, match=r"known key|not a JWT"):
            verify(token, BOTH, Audience.SESSION, NOW)

    def test_sign_nothing(self) -> None:
        assert not can_sign(parse_keys(json.dumps({"ed": PUBLIC})))
        assert can_sign(BOTH)
        passage = sign("ada", BOTH, Audience.SESSION, NOW + 60)
        assert jwt.get_unverified_header(passage)["kid"] == "k1"

    @pytest.mark.parametrize(
        ("jwk", "words"),
        [
            (json.loads(OKPAlgorithm.to_jwk(PRIVATE)), "private key"),
            ({"kty": "OKP", "crv": "Ed448", "x": PUBLIC["x"]}, "must be like"),
            ({"kty": "EC", "crv": "P-256", "x": "", "y": ""}, "must be like"),
            (PUBLIC | {"x": PUBLIC["x"][:-4]}, "must be like"),
            (PUBLIC | {"x": 5}, "must be like"),
            (PUBLIC | {"x": "ä"}, "must be like"),
            ({}, "must be like"),
        ],
    )
    def test_other_keys_are_refused_and_not_shown(self, jwk: dict[str, object], words: str) -> None:
        with pytest.raises(BadKeys, match=words) as refused:
            parse_keys(json.dumps({"k1": jwk}))
        assert str(jwk.get("d", "nothing of it")) not in str(refused.value)


class TestRegionAndId:
    @pytest.mark.parametrize(
        ("claims", "region", "good"),
        [({}, None, True), ({}, "eu", True), ({"region": "eu"}, "eu", True)]
        + [({"region": "eu"}, region, False) for region in ("us", None)]
        + [({"region": 5}, "eu", False)],
    )
    def test_a_token_that_names_a_region_is_good_there_alone(
        self, claims: dict[str, object], region: str | None, good: bool
    ) -> None:
        token = signed_by(PRIVATE, "EdDSA", **claims)
        if good:
            assert identify(token, BOTH, {Audience.SESSION}, NOW, region).subject == "ada"
        else:
            with pytest.raises(Unauthorized, match="another region"):
                identify(token, BOTH, {Audience.SESSION}, NOW, region)

    def test_the_id_of_a_token_is_text(self) -> None:
        found = identify(signed_by(PRIVATE, "EdDSA", jti="7"), BOTH, {Audience.SESSION}, NOW)
        assert (found.token_id, found.expires) == ("7", NOW + 60)
        for wrong in (7, ["7"]):
            with pytest.raises(Unauthorized, match="no text"):
                identify(signed_by(PRIVATE, "EdDSA", jti=wrong), BOTH, {Audience.SESSION}, NOW)


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
