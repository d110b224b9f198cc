"""Delays new connections of one network that come too fast.

A handshake takes a millisecond of the event loop. Connections wait instead of being refused, as the clients
of a proxy or of a household share an address. They proceed in the order of arrival. A connection
that would wait for more than two seconds is closed.
"""

from __future__ import annotations

from mediaserver.server.client_network import client_network

_PER_S = 100.0
_BURST = 100
_MAX_WAIT_S = 2.0
_MANY_NETWORKS = 1024


class Arrivals:
    """Limits the new connections of a process. Time is passed in, in seconds.

    Each network has a leaky bucket, by the virtual scheduling algorithm (ITU-T I.371, A.2). Only the time at
    which the bucket is empty is kept.
    """

    def __init__(self) -> None:
        self._empty_at: dict[str, float] = {}

    def wait_s(self, address: str, now: float) -> float | None:
        """Returns the seconds that a new connection from ``address`` must wait; ``None`` to close it."""
        network = client_network(address)
        empty_at = max(self._empty_at.get(network, now), now)
        wait_s = max(0.0, empty_at - now - (_BURST - 1) / _PER_S)
        if wait_s > _MAX_WAIT_S:
            return None
        if len(self._empty_at) > _MANY_NETWORKS:
            self._empty_at = {each: at for each, at in self._empty_at.items() if at > now}
        self._empty_at[network] = empty_at + 1.0 / _PER_S
        return wait_s
