"""Chooses the local addresses on which ICE candidates are gathered."""

from __future__ import annotations

from collections.abc import Sequence

import aioice.ice
import ifaddr
from aiortc import RTCPeerConnection

from mediaserver.settings.types import NetworkInterface
from mediaserver.webrtc.aiortc_seam.ice import gather_only
from mediaserver.webrtc.aiortc_seam.transports import ice_transports
from mediaserver.webrtc.ice_addresses import listed_addresses

_LOOPBACK = (NetworkInterface("127.0.0.1"), NetworkInterface("::1"))


def gathered_addresses(interfaces: Sequence[NetworkInterface]) -> list[str]:
    """Returns the local addresses for candidates: those of ``interfaces``, or if empty all but loopback.

    A machine without a network uses loopback.
    """
    if interfaces:
        return listed_addresses(interfaces, ifaddr.get_adapters())
    reachable = list(aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True))
    return reachable or listed_addresses(_LOOPBACK, ifaddr.get_adapters())


def limit_gathering(connection: RTCPeerConnection, addresses: list[str]) -> None:
    """Makes all transports gather on ``addresses`` only. Call it before the local description is set."""
    for transport in ice_transports(connection):
        gather_only(transport, addresses)
