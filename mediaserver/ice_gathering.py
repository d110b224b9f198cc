"""Which local addresses aiortc gathers candidates on. It has no setting for that: this is the one seam."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import aioice
import aioice.ice
import ifaddr
from aiortc import RTCIceTransport, RTCPeerConnection

from mediaserver.ice import listed_addresses
from mediaserver.receiver import SeamMoved
from mediaserver.setting_types import NetworkInterface

_CONNECTION = "_connection"
_GATHER = "get_component_candidates"
_LOOPBACK = "127.0.0.1"


def gathered_addresses(interfaces: Sequence[NetworkInterface]) -> list[str]:
    """The local addresses that candidates are gathered on: those of ``interfaces``, or where it is empty
    those that aioice takes by itself, all but loopback. A machine without a network has loopback only."""
    if interfaces:
        return listed_addresses(interfaces, ifaddr.get_adapters())
    return list(aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)) or [_LOOPBACK]


def limit_gathering(connection: RTCPeerConnection, interfaces: Sequence[NetworkInterface] = ()) -> None:
    """Has all transports of ``connection`` gather on `gathered_addresses`; before its local description."""
    addresses = gathered_addresses(interfaces)
    secured = [transceiver.receiver.transport for transceiver in connection.getTransceivers()]
    if connection.sctp is not None:
        secured.append(connection.sctp.transport)
    for transport in {dtls.transport for dtls in secured}:
        gather_only(transport, addresses)


def gather_only(transport: RTCIceTransport, addresses: list[str]) -> None:
    """Has ``transport`` gather host candidates on ``addresses`` and no others; before it gathers.

    aioice gathers on every address but loopback, and passes its list to a method that is replaced here.
    Raises `mediaserver.receiver.SeamMoved` if aiortc or aioice is not the one this was written for.
    """
    connection = getattr(transport.iceGatherer, _CONNECTION, None)
    if not isinstance(connection, aioice.Connection):
        raise SeamMoved(f"aiortc's RTCIceGatherer no longer has an aioice.Connection as {_CONNECTION}")
    gather = getattr(connection, _GATHER, None)
    if gather is None or list(inspect.signature(gather).parameters) != ["component", "addresses", "timeout"]:
        raise SeamMoved(f"aioice's Connection no longer has {_GATHER}(component, addresses, timeout)")

    def gather_listed(**arguments: Any) -> Any:
        return gather(**{**arguments, "addresses": addresses})

    setattr(connection, _GATHER, gather_listed)
