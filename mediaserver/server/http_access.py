"""Checks the origin of requests: client address, ``Host``, and tokens for control."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable

from aiohttp import web

from mediaserver.settings.types import IpNetwork, Origin, TokenKeys
from signaling.auth import Audience, Unauthorized, verify


def client_address(request: web.Request, trusted: Iterable[IpNetwork] = ()) -> str:
    """Returns the address of the client, as text.

    ``X-Forwarded-For`` is used only from a proxy on this machine, or from a proxy in ``trusted``. Its last
    address is the peer of that proxy. If that peer is in ``trusted``, too, the address before it is used.
    """
    address = _end(request, "peername")
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    believed = is_loopback(address)
    while forwarded and (believed or any(address in network for network in trusted)):
        address, believed = forwarded.pop().strip() or address, False
    return address


def is_loopback(host: str) -> bool:
    """Whether ``host`` is ``localhost`` or a loopback address."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def named_as_ours(request: web.Request, host_setting: str, origins: Iterable[Origin]) -> bool:
    """Whether ``Host`` names this server.

    Accepted are the loopback, the local address of the connection, the setting ``host``, and hosts of allowed
    pages. A foreign page can point its own name to this machine (DNS rebinding). The browser then treats this
    server as the page's own origin, and only ``Host`` reveals it.
    """
    name = _host_name(request.headers.get("Host", ""))
    pages = {_host_name(origin.partition("://")[2]) for origin in origins}
    return is_loopback(name) or name in {host_setting.lower(), _end(request, "sockname"), *pages} - {""}


def check_control(request: web.Request, keys: TokenKeys, region: str | None) -> None:
    """Checks the token for control of a server in ``region``. Raises `signaling.auth.Unauthorized`."""
    verify(bearer_token(request), keys.by_id, Audience.CONTROL, time.time(), region)


def bearer_token(request: web.Request) -> str | None:
    """Returns the bearer token in ``Authorization`` (RFC 6750, section 2.1), or ``None``."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else None


def may_read_metrics(request: web.Request, keys: TokenKeys | None, region: str | None) -> bool:
    """Whether the request comes from this machine, or has a token for control of the server."""
    address = client_address(request)
    if is_loopback(address) or address == _end(request, "sockname"):
        return True
    try:
        if keys is not None:
            check_control(request, keys, region)
            return True
    except Unauthorized:
        pass
    return False


def _end(request: web.Request, which: str) -> str:
    """Returns the address of ``peername`` or ``sockname``; empty if the connection is closed."""
    end = request.transport.get_extra_info(which) if request.transport else None
    return str(end[0]).partition("%")[0] if end else ""


def _host_name(authority: str) -> str:
    """Returns the name or address in ``name:port`` in lower case; ``::1`` for ``[::1]:80``."""
    name = authority.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name
