from __future__ import annotations

import pytest

from mediaserver.webrtc.remote_candidates import MAX_CANDIDATES, RemoteCandidates, candidate_budget
from signaling.rate_limit import RateLimit


def candidates(*local: str, behind_nat: bool = False, budget: RateLimit | None = None) -> RemoteCandidates:
    return RemoteCandidates(
        local or ("192.0.2.7",), behind_nat=behind_nat, budget=budget or candidate_budget()
    )


@pytest.mark.parametrize("host", ["198.51.100.4", "10.1.2.3", "192.168.0.9", "2001:db8::5", "fd00::1"])
def test_addresses_of_networks_are_checked(host: str) -> None:
    assert candidates().admits_named(host, 4000, now=0)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "240.0.0.1",
        "example.org",
        "0b5b4d5a-9f1e-4b1c-8e9f-1c9f5a1d2e3f.local",
        "localhost",
        "127.1",
        "",
    ],
)
def test_addresses_that_lead_elsewhere_and_names_are_not(host: str) -> None:
    assert not candidates().admits_named(host, 4000, now=0)


@pytest.mark.parametrize("port", [-1, 0, 65536, 400_000])
def test_ports_that_do_not_exist_are_not(port: int) -> None:
    """A datagram to one would end the socket."""
    assert not candidates().admits_named("198.51.100.4", port, now=0)


def test_a_server_on_loopback_only_has_its_clients_there() -> None:
    assert candidates("127.0.0.1", "::1").admits_named("127.0.0.1", 4000, now=0)
    assert not candidates("127.0.0.1", "192.0.2.7").admits_named("127.0.0.1", 4000, now=0)


def test_behind_a_nat_private_addresses_are_not_the_client_s_but_checks_may_come_from_there() -> None:
    server = candidates(behind_nat=True)
    assert not server.admits_named("10.1.2.3", 4000, now=0)
    assert server.admits_named("8.8.8.8", 4000, now=0)
    assert server.admits_source("10.1.2.3", 4000, now=0)
    assert not server.admits_source("169.254.169.254", 80, now=0)


def test_port_0_is_no_address() -> None:
    assert not candidates().admits_named("198.51.100.4", 0, now=0)


def test_their_number_is_bounded_named_or_seen() -> None:
    server = candidates()
    admitted = [server.admits_named("198.51.100.4", port, now=0) for port in range(1, 20)]
    admitted += [server.admits_source("198.51.100.4", port, now=0) for port in range(20, 100)]
    assert sum(admitted) == MAX_CANDIDATES
    assert server.admits_source("198.51.100.4", 1, now=0), "one that is known stays known"


def test_new_offers_do_not_bring_new_ones_without_end() -> None:
    budget = candidate_budget()
    admitted = 0
    for _ in range(50):
        server = candidates(budget=budget)
        admitted += sum(server.admits_named("198.51.100.4", port, now=0) for port in range(1, 65))
    assert admitted == 2 * MAX_CANDIDATES
    assert candidates(budget=budget).admits_named("198.51.100.4", 1, now=60)
