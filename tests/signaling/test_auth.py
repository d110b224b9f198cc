from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from signaling.auth import Audience, BadKeys, Expired, Unauthorized, origin_allowed, parse_keys, verify

OLD = "an old key, long enough for HS384 too: 48 bytes or more"
NEW = "a new key, long enough for HS384 too: 48 bytes or more!"
KEYS = {"k1": OLD, "k2": NEW}
NOW = 1_772_438_400.0


def token(key_id: str = "k2", algorithm: str = "HS256", **changes: object) -> str:
    claims: dict[str, object] = {"aud": "mediaserver", "sub": "ada", "exp": int(NOW) + 60} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, KEYS[key_id], algorithm=algorithm, headers={"kid": key_id})


def raw_token(header: str, payload: str) -> str:
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in (header, payload)]
    return ".".join([*parts, "c2lnbmF0dXJl"])


class TestVerify:
    def test_lets_in_who_has_a_valid_token(self) -> None:
        bearer = verify(token(), KEYS, Audience.SESSION, NOW)
        assert (bearer.subject, bearer.expires) == ("ada", int(NOW) + 60)

    @pytest.mark.parametrize("key_id", ["k1", "k2"])
    def test_two_keys_are_accepted_while_they_rotate(self, key_id: str) -> None:
        assert verify(token(key_id), KEYS, Audience.SESSION, NOW).subject == "ada"

    def test_a_key_that_was_rotated_out_is_not(self) -> None:
        with pytest.raises(Unauthorized, match="known key"):
            verify(token("k1"), {"k2": NEW}, Audience.SESSION, NOW)

    def test_a_token_is_expired_only_where_all_else_is_right(self) -> None:
        for wrong in (token("k1", exp=1), token(aud="mediaserver-control", exp=1)):
            with pytest.raises(Unauthorized) as refused:
                verify(wrong, {"k2": NEW}, Audience.SESSION, NOW)
            assert not isinstance(refused.value, Expired)

    def test_bytes_that_are_no_text_are_no_token(self) -> None:
        with pytest.raises(Unauthorized, match="known key"):
            verify(b"\xff".decode(errors="surrogateescape"), KEYS, Audience.CONTROL, NOW)

    @pytest.mark.parametrize("absent", [None, ""])
    def test_needs_a_token(self, absent: str | None) -> None:
        with pytest.raises(Unauthorized, match="needed"):
            verify(absent, KEYS, Audience.SESSION, NOW)

    def test_ends_with_its_expiry_give_or_take_a_clock(self) -> None:
        verify(token(), KEYS, Audience.SESSION, NOW + 70)
        with pytest.raises(Expired, match="expired"):
            verify(token(), KEYS, Audience.SESSION, NOW + 71)

    def test_does_not_ask_the_clock_of_the_machine(self) -> None:
        assert verify(token(exp=60), KEYS, Audience.SESSION, 0).expires == 60

    @pytest.mark.parametrize("audience", ["mediaserver-control", "mediaserver-api", None])
    def test_is_bound_to_its_audience(self, audience: str | None) -> None:
        with pytest.raises(Unauthorized):
            verify(token(aud=audience), KEYS, Audience.SESSION, NOW)

    @pytest.mark.parametrize("claim", ["exp", "sub"])
    def test_needs_an_end_and_a_bearer(self, claim: str) -> None:
        without: dict[str, Any] = {claim: None}
        with pytest.raises(Unauthorized):
            verify(token(**without), KEYS, Audience.SESSION, NOW)

    def test_an_end_that_is_no_number_is_no_end(self) -> None:
        with pytest.raises(Unauthorized, match="not a number"):
            verify(token(exp="tomorrow"), KEYS, Audience.SESSION, NOW)

    def test_the_algorithm_is_not_the_bearer_s_choice(self) -> None:
        with pytest.raises(Unauthorized):
            verify(token(algorithm="HS384"), KEYS, Audience.SESSION, NOW)
        unsigned = raw_token('{"alg":"none","kid":"k2"}', '{"aud":"mediaserver","sub":"a","exp":9999999999}')
        with pytest.raises(Unauthorized):
            verify(unsigned, KEYS, Audience.SESSION, NOW)

    @pytest.mark.parametrize(
        "forged",
        [
            "x",
            "a.b.c",
            "ä.ö.ü",
            raw_token("{}", "{}"),
            raw_token('{"alg":"HS256","kid":["k2"]}', "{}"),
            raw_token('{"alg":"HS256","kid":"k2"}', "[]"),
            raw_token("[" * 2900, "{}"),
        ],
    )
    def test_garbage_is_refused_in_the_same_way(self, forged: str) -> None:
        with pytest.raises(Unauthorized):
            verify(forged, KEYS, Audience.SESSION, NOW)


class TestParseKeys:
    def test_reads_a_key_set(self) -> None:
        assert parse_keys(json.dumps(KEYS)) == KEYS

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"k1": 5}', '{"k1": "too short"}'])
    def test_refuses_what_cannot_protect(self, text: str) -> None:
        with pytest.raises(BadKeys):
            parse_keys(text)

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
