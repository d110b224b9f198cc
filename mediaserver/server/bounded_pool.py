"""How many peers may wait at once: in all, and from one network."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)

_IPV6_NETWORK_BITS = 64
"""Whoever has one IPv6 address mostly has its whole /64 (RFC 6177)."""


class BoundedPool(Generic[Member]):
    """Members, each from a network. One too many makes the member leave that has been there longest.

    Where one network has ``of_one_network`` members already, it gives up one of its own. Where there are
    ``in_all`` of them, the network that has most gives one up: many from one place push out no others.
    """

    def __init__(self, in_all: int, of_one_network: int | None = None) -> None:
        self._in_all = in_all
        self._of_one_network = of_one_network or in_all
        self._networks: dict[Member, str] = {}
        self._members: dict[str, dict[Member, None]] = {}

    def __len__(self) -> int:
        return len(self._networks)

    def add(self, member: Member, address: str) -> Member | None:
        """Takes ``member`` in; returns the one that has to leave for it and is no member any more."""
        network = _network(address)
        leaving = self._one_too_many(network)
        if leaving is not None:
            self.discard(leaving)
        self._networks[member] = network
        self._members.setdefault(network, {})[member] = None
        return leaving

    def discard(self, member: Member) -> None:
        """The member waits no more; does nothing if it is none."""
        network = self._networks.pop(member, None)
        if network is not None:
            del self._members[network][member]
            if not self._members[network]:
                del self._members[network]

    def _one_too_many(self, network: str) -> Member | None:
        own = self._members.get(network, {})
        if len(own) >= self._of_one_network:
            return next(iter(own))
        if len(self._networks) >= self._in_all:
            most = max(self._members.values(), key=len)
            return next(iter(most))
        return None


def _network(address: str) -> str:
    """What stands for one peer. What is no address stands for itself."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((ip, _IPV6_NETWORK_BITS), strict=False))
        return str(ip.ipv4_mapped)
    return address
