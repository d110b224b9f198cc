"""Bounds the number of waiting peers: in total, and from one network."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from mediaserver.server.client_network import client_network

Member = TypeVar("Member", bound=Hashable)


class BoundedPool(Generic[Member]):
    """Members, each from a network. If a limit is exceeded, the oldest member of a network is removed.

    A network with ``of_one_network`` members loses its own oldest. If there are ``in_all`` members, the
    network with most members loses one. So many members of one network do not displace others.
    """

    def __init__(self, in_all: int, of_one_network: int | None = None) -> None:
        self._in_all = in_all
        self._of_one_network = of_one_network or in_all
        self._networks: dict[Member, str] = {}
        self._members: dict[str, dict[Member, None]] = {}

    def __len__(self) -> int:
        return len(self._networks)

    def add(self, member: Member, address: str) -> Member | None:
        """Adds ``member``, and returns the member that was removed for it, if any."""
        network = client_network(address)
        leaving = self._one_too_many(network)
        if leaving is not None:
            self.discard(leaving)
        self._networks[member] = network
        self._members.setdefault(network, {})[member] = None
        return leaving

    def discard(self, member: Member) -> None:
        """Removes a member. Idempotent."""
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
