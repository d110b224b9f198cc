"""Types of settings that check themselves: made from text, they raise ``ValueError`` where it is wrong."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Self

from signaling.auth import parse_keys
from signaling.messages import STREAM_NAME

# RFC 7064 (stun, stuns) and RFC 7065 (turn, turns; only these may name a transport).
_ICE_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):"
    r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<transport>\?transport=(?:udp|tcp))?"
)
# RFC 6454, section 6.1: scheme, host and port. What may follow names something at that origin.
_HTTP_URL = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?)"
    r"(?P<path>/[!-~]*)?",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_HOST_PORT = re.compile(r"(?P<host>[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")
_INTERFACE_NAME = re.compile(r"[^\s/:,]{1,15}")


class IpAddress(str):
    """An IPv4 or IPv6 address, in its shortest form."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        return super().__new__(cls, ipaddress.ip_address(text))


def _check_name(host: str) -> None:
    """Raises ``ValueError`` for a name that DNS cannot have (RFC 1035, section 2.3.4).

    A look-up of such a name would raise ``UnicodeError``, not ``OSError`` as for other bad names.
    """
    try:
        encoded = host.encode("idna")
    except UnicodeError as exc:
        raise ValueError("not a host name") from exc
    if not 0 < len(encoded) < 254:
        raise ValueError("not a host name")


class Host(str):
    """What a server listens on: an IP address, or a name that DNS can have."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        _check_name(text)
        return super().__new__(cls, text)


class NodeName(str):
    """What stands for a server in ``?node=`` of a URL: nothing in it has to be escaped (RFC 3986, 2.3)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        if not re.fullmatch(STREAM_NAME, text):
            raise ValueError("not a name of a node")
        return super().__new__(cls, text)

    @classmethod
    def of_host(cls, name: str) -> Self:
        """Of a host's name what a node may be called."""
        return cls(re.sub(r"[^A-Za-z0-9._~-]", "-", name)[:64] or "node")


class HostPort(str):
    """Where a server listens: a name or IPv4 address, a colon and a port."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        parts = _HOST_PORT.fullmatch(text)
        if parts is None or not 0 < int(parts["port"]) < 65536:
            raise ValueError("not a host and port")
        _check_name(parts["host"])
        return super().__new__(cls, text)

    @property
    def is_address(self) -> bool:
        """Whether the host is an IPv4 address, not a name."""
        try:
            return bool(ipaddress.IPv4Address(self.rpartition(":")[0]))
        except ValueError:
            return False


class IceUrl(str):
    """The URL of a STUN server (RFC 7064) or TURN server (RFC 7065)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        parts = _ICE_URL.fullmatch(text)
        if parts is None or int(parts["port"] or 0) > 65535:
            raise ValueError("not a STUN or TURN URL")
        if parts["transport"] and parts["scheme"].startswith("stun"):
            raise ValueError("only a TURN URL names a transport")
        _check_name(parts["host"])
        return super().__new__(cls, text)

    @property
    def is_turn(self) -> bool:
        """Whether it names a TURN server, which wants credentials."""
        return self.startswith("turn")


class Origin(str):
    """Where a page comes from, as browsers write it: in small letters, without a default port."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        parts = _http_url(text)
        if parts["path"]:
            raise ValueError("an origin has no path")
        origin = parts["origin"].lower()
        return super().__new__(cls, origin.removesuffix(_DEFAULT_PORTS[parts["scheme"].lower()]))


class HttpUrl(str):
    """The base address of an HTTP service, without a slash at its end."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        parts = _http_url(text)
        if set(parts["path"] or "") & set("?#"):
            raise ValueError("a base address has no query and no fragment")
        return super().__new__(cls, text.rstrip("/"))

    @property
    def origin(self) -> Origin:
        """Its origin."""
        return Origin(_http_url(self)["origin"])


def _http_url(text: str) -> re.Match[str]:
    parts = _HTTP_URL.fullmatch(text)
    if parts is None or int(parts["port"] or 0) > 65535:
        raise ValueError("not an HTTP URL")
    _check_name(parts["host"])
    return parts


class ModelMirror(str):
    """Where models are fetched from: an HTTP URL (a base address) or the path of a folder."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        if not text.strip():
            raise ValueError("neither a URL nor a folder")
        return super().__new__(cls, HttpUrl(text) if "://" in text else Path(text).expanduser())


class CdnPattern(str):
    """The address of a file in an npm package, with ``{package}``, ``{version}`` and ``{path}`` for what is
    wanted."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        try:
            HttpUrl(text.format(package="package", version="1.0.0", path="path"))
        except (LookupError, AttributeError) as exc:
            raise ValueError("no pattern of an address") from exc
        return super().__new__(cls, text)


class NetworkInterface(str):
    """Names local addresses: by an interface's name, an address, or a network such as ``10.0.0.0/8``."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        interface = super().__new__(cls, text)
        if interface.network is None and _INTERFACE_NAME.fullmatch(text) is None:
            raise ValueError("not an interface, address or network")
        return interface

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        """The network or single address, ``None`` for an interface's name."""
        try:
            return ipaddress.ip_network(self, strict=False)
        except ValueError:
            return None


class IpNetwork(str):
    """A network such as ``10.0.0.0/8``, or a single address."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """The only way to make one."""
        return super().__new__(cls, ipaddress.ip_network(text))

    def __contains__(self, address: object) -> bool:
        """Whether ``address``, as text, is in it; an IPv4 address in IPv6 form is that IPv4 address."""
        try:
            ip = ipaddress.ip_address(str(address))
        except ValueError:
            return False
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        return (mapped or ip) in ipaddress.ip_network(self)


class Secret:
    """Text that shows itself in no log, error or ``repr``; ``value`` is the text."""

    __slots__ = ("value",)

    def __init__(self, text: str) -> None:
        self.value = text

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class TokenKeys(Secret):
    """Keys that sign tokens, as JSON; ``by_id`` maps each key's id to its secret, or public key."""

    __slots__ = ("by_id",)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.by_id = parse_keys(text)
