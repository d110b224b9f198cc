from __future__ import annotations

from mediaserver.server.scoreboard import alone, shared
from mediaserver.server.used_tokens import SIZE, UsedTokens
from signaling.auth import Bearer


def table() -> UsedTokens:
    return UsedTokens(memoryview(bytearray(8 * SIZE)).cast("d"), 0)


def test_a_token_is_used_once_until_it_has_expired() -> None:
    tokens = table()
    assert tokens.use("a", 100, now=0)
    assert not tokens.use("a", 100, now=50)
    assert tokens.use("b", 100, now=50)
    assert tokens.use("a", 200, now=101)


def test_one_that_came_to_nothing_may_be_used_again() -> None:
    tokens = table()
    assert tokens.use("a", 100, now=0)
    tokens.forget("a")
    tokens.forget("never used")
    assert tokens.use("a", 100, now=0)


def test_thousands_have_room_and_where_there_is_none_nobody_comes_in_twice() -> None:
    tokens = table()
    names = [f"token {number}" for number in range(60_000)]
    taken = [name for name in names if tokens.use(name, 100, now=0)]
    assert names[:4000] == taken[:4000]
    assert len(taken) < len(names)
    assert not any(tokens.use(name, 100, now=0) for name in taken)


def test_workers_know_of_each_other_s_tokens() -> None:
    ada = Bearer("ada", token_id="1", expires=2**40)
    with shared(2, 4) as board:
        first, second = board.rows
        assert first.use_token(ada)
        assert not second.use_token(ada)
        second.forget_token(ada)
        assert second.use_token(ada)


def test_a_token_without_an_id_begins_as_many_as_it_likes() -> None:
    [row] = alone(4).rows
    assert all(row.use_token(Bearer("ada")) for _ in range(3))
