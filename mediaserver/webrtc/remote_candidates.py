"""Which of the addresses that a client names are sent connectivity checks.

A check is a datagram to an address that the client chose (RFC 8445 section 19.5.1). Without a bound, or into
places that only the server reaches, it would be a weapon in the client's hand.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from signaling.rate_limit import RateLimit

MAX_CANDIDATES = 24
"""Addresses of one peer connection. A browser on a machine with many networks has a dozen."""
_BURST, _PER_S = 2.0 * MAX_CANDIDATES, 0.2
"""Addresses of one client over all its offers, and how many more each second brings."""


def candidate_budget() -> RateLimit:
    """For one client: every address that is checked for it takes one from it."""
    return RateLimit(_PER_S, _BURST)


class RemoteCandidates:
    """The addresses of one peer connection.

    ``local`` are the addresses that the server uses itself; ``behind_nat`` says that clients know it by a
    public address, so that private ones are not theirs.
    """

    def __init__(self, local: Sequence[str], *, behind_nat: bool, budget: RateLimit) -> None:
        self._on_loopback_only = all(ipaddress.ip_address(address).is_loopback for address in local)
        self._behind_nat = behind_nat
        self._budget = budget
        self._admitted: set[tuple[str, int]] = set()

    def admits_named(self, host: str, port: int, now: float) -> bool:
        """Whether an address that the client named is checked. Names, as of mDNS (draft-ietf-mmusic-mdns-ice-
        candidates), are not: the client's own checks show where they come from. ``now`` in seconds."""
        address = _parsed(host)
        if address is None or not self._is_reachable(address) or (self._behind_nat and not address.is_global):
            return False
        return self._has_room(host, port, now)

    def admits_source(self, host: str, port: int, now: float) -> bool:
        """Whether an address that a check came from is checked in turn (a peer-reflexive candidate, RFC 8445
        section 7.3.1.3). Source addresses can be forged, so they are bounded as well."""
        address = _parsed(host)
        return address is not None and self._is_reachable(address) and self._has_room(host, port, now)

    def _is_reachable(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if address.is_loopback:
            return self._on_loopback_only
        return not (
            address.is_multicast
            or address.is_unspecified
            or address.is_link_local
            or (address.version == 4 and address.is_reserved)  # 240.0.0.0/4 and broadcast
        )

    def _has_room(self, host: str, port: int, now: float) -> bool:
        if (host, port) in self._admitted:
            return True
        if not 0 < port < 65536 or len(self._admitted) >= MAX_CANDIDATES or not self._budget.allows(now):
            return False
        self._admitted.add((host, port))
        return True


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # An IPv4 address in IPv6 clothes is judged as what it is.
    return getattr(address, "ipv4_mapped", None) or address
