"""The network that counts as one peer."""

from __future__ import annotations

import ipaddress

_IPV6_NETWORK_BITS = 64
"""The holder of one IPv6 address mostly has its whole /64 (RFC 6177)."""


def client_network(address: str) -> str:
    """Returns an IPv4 address as it is, and the /64 of an IPv6 address. Other text is returned as it is."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((ip, _IPV6_NETWORK_BITS), strict=False))
        return str(ip.ipv4_mapped)
    return address
