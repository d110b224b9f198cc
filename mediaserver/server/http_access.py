"""Who asks, and by which name: for what is open to this machine alone."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable

from aiohttp import web

from mediaserver.settings.types import Origin, TokenKeys
from signaling.auth import Audience, Unauthorized, verify


def client_address(request: web.Request) -> str:
    """The address that the request comes from, as text.

    A proxy on this machine is believed: the last address in its ``X-Forwarded-For``, which is the one that
    the proxy itself has seen. Nobody else is.
    """
    address = _end(request, "peername")
    forwarded = request.headers.getall("X-Forwarded-For", [])
    if forwarded and is_loopback(address):
        return forwarded[-1].rpartition(",")[2].strip()
    return address


def is_loopback(host: str) -> bool:
    """Whether it names this machine for this machine: ``localhost``, or an address of the loopback."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def named_as_ours(request: web.Request, host_setting: str, origins: Iterable[Origin]) -> bool:
    """Whether ``Host`` names this server: as the loopback, by the address that the request came to, by the
    setting ``host``, or as one of the pages that may use it.

    A foreign page can give its own name this machine's address (DNS rebinding). To the browser it is then of
    the same origin, and only the name tells that it is not ours.
    """
    name = _host_name(request.headers.get("Host", ""))
    pages = {_host_name(origin.partition("://")[2]) for origin in origins}
    return is_loopback(name) or name in {host_setting.lower(), _end(request, "sockname"), *pages} - {""}


def check_control(request: web.Request, keys: TokenKeys) -> None:
    """Lets in who has a token to control the server. Raises `signaling.auth.Unauthorized`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    verify(token if scheme.lower() == "bearer" else None, keys.by_id, Audience.CONTROL, time.time())


def may_read_metrics(request: web.Request, keys: TokenKeys | None) -> bool:
    """This machine may; from elsewhere, who has a token to control the server."""
    address = client_address(request)
    if is_loopback(address) or address == _end(request, "sockname"):
        return True
    try:
        if keys is not None:
            check_control(request, keys)
            return True
    except Unauthorized:
        pass
    return False


def _end(request: web.Request, which: str) -> str:
    """The address at one end of the connection: ``peername`` or ``sockname``; empty where it is gone."""
    end = request.transport.get_extra_info(which) if request.transport else None
    return str(end[0]).partition("%")[0] if end else ""


def _host_name(authority: str) -> str:
    """The name or address in ``name:port``, in small letters; of ``[::1]:80`` it is ``::1``."""
    name = authority.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name
