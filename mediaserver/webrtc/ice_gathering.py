"""Which local addresses candidates are gathered on."""

from __future__ import annotations

from collections.abc import Sequence

import aioice.ice
import ifaddr
from aiortc import RTCPeerConnection

from mediaserver.settings.types import NetworkInterface
from mediaserver.webrtc.aiortc_seam import gather_only, ice_transports
from mediaserver.webrtc.ice_addresses import listed_addresses

_LOOPBACK = "127.0.0.1"


def gathered_addresses(interfaces: Sequence[NetworkInterface]) -> list[str]:
    """The local addresses that candidates are gathered on: those of ``interfaces``, or where it is empty
    those that aioice takes by itself, all but loopback. A machine without a network has loopback only."""
    if interfaces:
        return listed_addresses(interfaces, ifaddr.get_adapters())
    return list(aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)) or [_LOOPBACK]


def limit_gathering(connection: RTCPeerConnection, addresses: list[str]) -> None:
    """Has all transports of ``connection`` gather on ``addresses`` only; before its local description."""
    for transport in ice_transports(connection):
        gather_only(transport, addresses)
