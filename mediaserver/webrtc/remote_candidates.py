"""Decides which addresses of a client get connectivity checks.

A check is a datagram to an address that the client has chosen (RFC 8445 section 19.5.1). Limits protect
others from floods, and networks that only the server can reach.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from signaling.rate_limit import RateLimit

MAX_CANDIDATES = 24
"""Addresses of one peer connection at most. A browser on a machine with many networks has a dozen."""
_BURST, _PER_S = 2.0 * MAX_CANDIDATES, 0.2
"""Addresses of one client over all its offers: at once, and more per second."""


def candidate_budget() -> RateLimit:
    """Makes the budget of one client, from which each checked address is charged."""
    return RateLimit(_PER_S, _BURST)


class RemoteCandidates:
    """The addresses of one peer connection.

    ``local`` are the server's own addresses. ``behind_nat`` is true if clients reach the server at a public
    address. Private addresses of clients are then not used.
    """

    def __init__(self, local: Sequence[str], *, behind_nat: bool, budget: RateLimit) -> None:
        self._on_loopback_only = all(ipaddress.ip_address(address).is_loopback for address in local)
        self._behind_nat = behind_nat
        self._budget = budget
        self._admitted: set[tuple[str, int]] = set()
        self._declined = False

    @property
    def are_all_checked(self) -> bool:
        """Whether the client named addresses, and all of them are checked.

        Otherwise the client's own checks may still reveal addresses after the end of its candidates.
        """
        return bool(self._admitted) and not self._declined

    def admits_named(self, host: str, port: int, now: float) -> bool:
        """Whether an address that the client named is checked. ``now`` is in seconds.

        Host names, as of mDNS (draft-ietf-mmusic-mdns-ice-candidates), are not checked. The client's own
        checks reveal its address.
        """
        address = _parsed(host)
        is_wanted = address is not None and self._is_reachable(address)
        if self._behind_nat and address is not None and not address.is_global:
            is_wanted = False
        admitted = is_wanted and self._has_room(host, port, now)
        self._declined |= not admitted
        return admitted

    def admits_source(self, host: str, port: int, now: float) -> bool:
        """Whether the source address of a check gets a check in return. ``now`` is in seconds.

        It is a peer-reflexive candidate (RFC 8445 section 7.3.1.3). Source addresses can be forged, so the
        limits apply to them, too.
        """
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
    # An IPv4-mapped IPv6 address counts as the IPv4 address.
    return getattr(address, "ipv4_mapped", None) or address
