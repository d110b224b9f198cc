from __future__ import annotations

import hashlib

import pytest

from signaling.auth import Audience, sign
from signaling.continuation import LIFE_S, continuation, resume_token, session_id
from signaling.messages import MAX_TOKEN_BYTES
from tests.support.token_vectors import KEYS, NOW

SESSION = "abcdefghij-_"


def token(subject: str = "ada", seq_floor: int = 7) -> str:
    return resume_token(SESSION, subject, seq_floor, KEYS, NOW)


def test_another_server_with_the_same_keys_learns_id_and_floor() -> None:
    found = continuation(token(), "ada", KEYS, NOW)
    assert found is not None
    assert found.session == SESSION
    assert found.seq_floor >= 7


def test_the_floor_rises_as_fast_as_results_may_have_come() -> None:
    """The token is as old as the session, whose results have gone on since."""
    soon, later = (continuation(token(), "ada", KEYS, NOW + seconds) for seconds in (0, 3600))
    assert soon is not None
    assert later is not None
    assert later.seq_floor - soon.seq_floor >= 100 * 3600
    assert later.seq_floor < 2**52


@pytest.mark.parametrize(
    ("subject", "keys", "now"),
    [
        ("eve", KEYS, NOW),
        (None, KEYS, NOW),
        ("ada", {"k1": "a key that someone else thought of!!"}, NOW),
        ("ada", None, NOW),
        ("ada", KEYS, NOW + LIFE_S + 60),
    ],
)
def test_to_others_it_says_nothing(subject: str | None, keys: dict[str, str] | None, now: float) -> None:
    assert continuation(token(), subject, keys, now) is None


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sid": "x", "seq": 1, "iat": NOW},
        {"sid": SESSION, "seq": "1", "iat": NOW},
        {"sid": SESSION, "seq": 1},
    ],
)
def test_a_token_that_lacks_something_says_nothing(claims: dict[str, int | str]) -> None:
    subject = hashlib.blake2b(b"ada", digest_size=16).hexdigest()
    assert continuation(sign(subject, KEYS, Audience.RESUME, NOW + 60, **claims), "ada", KEYS, NOW) is None


@pytest.mark.parametrize("text", ["", "x", "a.b.c", sign("ada", KEYS, Audience.SESSION, NOW + 60)])
def test_what_is_no_such_token_says_nothing(text: str) -> None:
    assert continuation(text, "ada", KEYS, NOW) is None


def test_no_two_are_alike_and_each_fits_into_a_hello() -> None:
    assert token() != token()
    assert len(token("a" * MAX_TOKEN_BYTES, 2**52)) < 1024
    assert len({session_id() for _ in range(100)}) == 100


def test_without_keys_it_is_a_secret_and_no_more() -> None:
    found = resume_token(SESSION, None, 0, None, NOW)
    assert SESSION not in found
    assert continuation(found, None, None, NOW) is None
