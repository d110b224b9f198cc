from __future__ import annotations

from mediaserver.server.bounded_pool import BoundedPool


def test_one_too_many_in_all_costs_the_network_that_has_most_its_longest_waiting() -> None:
    pool = BoundedPool[str](in_all=4)
    assert pool.add("lone", "10.0.0.1") is None
    for name in ("first", "second", "third"):
        assert pool.add(name, "10.0.0.2") is None
    assert pool.add("fourth", "10.0.0.2") == "first"
    assert pool.add("newcomer", "10.0.0.3") == "second"
    assert len(pool) == 4


def test_one_network_gives_up_its_own_at_its_own_limit() -> None:
    pool = BoundedPool[str](in_all=10, of_one_network=2)
    assert pool.add("lone", "10.0.0.1") is None
    leaving = [pool.add(str(number), "10.0.0.2") for number in range(5)]
    assert leaving == [None, None, "0", "1", "2"]
    assert len(pool) == 3


def test_who_has_left_makes_room() -> None:
    pool = BoundedPool[str](in_all=1)
    pool.add("first", "10.0.0.1")
    for _ in range(2):  # leaving twice is leaving once
        pool.discard("first")
    assert pool.add("second", "10.0.0.1") is None


def test_an_ipv6_network_is_one_peer_and_an_ipv4_address_is_itself_however_it_is_written() -> None:
    pool = BoundedPool[str](in_all=10, of_one_network=1)
    assert pool.add("one", "2001:db8::1") is None
    assert pool.add("its neighbour", "2001:db8::ffff:2") == "one"
    assert pool.add("another network", "2001:db8:0:1::1") is None
    assert pool.add("four", "192.0.2.1") is None
    assert pool.add("the same, mapped", "::ffff:192.0.2.1") == "four"
    assert pool.add("another, mapped", "::ffff:192.0.2.2") is None
    assert pool.add("link-local", "fe80::1%eth0") is None
    assert pool.add("no address", "unknown") is None
    assert pool.add("none again", "unknown") == "no address"
