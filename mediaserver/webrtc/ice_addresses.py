"""Addresses of the media path: STUN and TURN servers, local addresses, and a public address behind NAT."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence

import ifaddr

from mediaserver.settings.model import Settings
from mediaserver.settings.types import NetworkInterface
from signaling.messages import IceServer

_ADDRESS = re.compile(
    r"(?P<before>a=candidate:\S+ \d+ \S+ \d+ |c=IN IP[46] )(?P<address>\S+)(?P<after>(?: \d+ typ host.*)?)"
)


def ice_servers(settings: Settings, session_id: str, now: float) -> list[IceServer]:
    """Returns the STUN and TURN servers for one client. ``now`` is Unix time in seconds.

    TURN credentials expire after ``turn_ttl_s``. They follow draft-uberti-behave-turn-rest-00, which coturn
    supports. The username contains the expiry; the password is the HMAC-SHA1 of the username.
    """
    stun = [str(url) for url in settings.ice_servers if not url.is_turn]
    turn = [str(url) for url in settings.ice_servers if url.is_turn]
    servers = [IceServer(stun)] if stun else []
    if turn:
        assert settings.turn_secret is not None, "Settings refuses TURN servers without a secret"
        username = f"{int(now) + settings.turn_ttl_s}:{session_id}"
        digest = hmac.digest(settings.turn_secret.value.encode(), username.encode(), "sha1")
        servers.append(IceServer(turn, username, base64.b64encode(digest).decode()))
    return servers


def listed_addresses(interfaces: Sequence[NetworkInterface], adapters: Iterable[ifaddr.Adapter]) -> list[str]:
    """Returns the addresses of ``adapters`` that ``interfaces`` name, by adapter or by network.

    Link-local IPv6 is left out: binding it needs a scope, which SDP cannot carry.
    """
    names = {interface for interface in interfaces if interface.network is None}
    networks = [interface.network for interface in interfaces if interface.network is not None]
    listed = []
    for adapter in adapters:
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                text = ip.ip
            elif ip.ip[2] == 0:
                text = ip.ip[0]
            else:
                continue
            address = ipaddress.ip_address(text)
            if adapter.name in names or any(address in network for network in networks):
                listed.append(text)
    return listed


def announced(sdp: str, public_ip: str) -> str:
    """Replaces private addresses in ``sdp`` by the public address of a 1:1 NAT.

    This concerns host candidates and ``c=`` lines (RFC 8839, 5.1) of the family of ``public_ip``. The private
    address is replaced, as it reveals the internal network (RFC 8828), and gives pairs that cannot work.
    Peers inside reach the public address through the NAT. Port, priority and foundation stay, as the socket
    is the same.
    """
    return "\r\n".join(_announced_line(line, public_ip) for line in sdp.split("\r\n"))


def _announced_line(line: str, public_ip: str) -> str:
    parts = _ADDRESS.fullmatch(line)
    if parts is None or not _is_behind_nat(parts["address"], public_ip):
        return line
    return f"{parts['before']}{public_ip}{parts['after']}"


def _is_behind_nat(address: str, public_ip: str) -> bool:
    private, public = ipaddress.ip_address(address), ipaddress.ip_address(public_ip)
    return private.version == public.version and not private.is_global and not private.is_unspecified
