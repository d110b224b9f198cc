from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import ifaddr
import jwt
import pytest
from aiohttp.test_utils import make_mocked_request

from mediaserver.server.http_access import client_address, is_loopback
from mediaserver.settings.types import IpNetwork, Origin, TokenKeys
from tests.support.live_server import LiveServer, live_server
from tests.support.token_vectors import KEYS


class Transport:
    """What a request knows of its connection."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._peer, 40_000) if name == "peername" else default


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "10.9.9.9, 198.51.100.1", "198.51.100.1"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
    ],
    ids=["direct", "local", "nginx", "by IPv6", "mapped", "what a client made up", "nobody's proxy"],
)
def test_a_proxy_on_this_machine_is_believed_and_nobody_else(
    peer: str, forwarded: str | None, address: str
) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/", headers, transport=Transport(peer))
    assert client_address(request) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.7", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", "10.9.9.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", "198.51.100.1, 10.0.0.8", "198.51.100.1"),
        ("10.0.0.7", "127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.7", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", None, "10.0.0.7"),
        ("10.0.0.7", ",", "10.0.0.7"),
        ("10.1.0.7", "198.51.100.1", "10.1.0.7"),
        ("127.0.0.1", "6.6.6.6, 127.0.0.1", "127.0.0.1"),
    ],
    ids=["front", "made up", "two fronts", "local", "mapped", "itself", "empty", "another's", "no front"],
)
def test_proxies_in_a_trusted_network_are_believed(peer: str, forwarded: str | None, address: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/", headers, transport=Transport(peer))
    assert client_address(request, [IpNetwork("10.0.0.0/24")]) == address


async def status(live: LiveServer, path: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{live.http_url}{path}", headers=headers) as response:
            return response.status


OWN_NAMES = ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.9:1", "[::1]:8080", "page.localhost"]
FOREIGN_NAMES = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "10.1.1.1",
    "[::2]",
    "",
    "[",
    ":",
]


@pytest.mark.parametrize("path", ["", "healthz", "metrics", "ws/inference", "engine/client.js"])
async def test_without_keys_only_a_name_of_this_machine_leads_here(tiny_models: Path, path: str) -> None:
    """Else a foreign page could give its own name this machine's address (DNS rebinding)."""
    async with live_server(tiny_models) as live:
        for name in FOREIGN_NAMES:
            assert await status(live, path, Host=name) == 421, name
        for name in OWN_NAMES:
            assert await status(live, path, Host=name) != 421, name


async def test_the_pages_that_are_allowed_and_the_host_that_is_set_are_names_of_ours(
    tiny_models: Path,
) -> None:
    pages = (Origin("https://media.example.org"), Origin("http://box.lan:8080"))
    async with live_server(tiny_models, allowed_origins=pages) as live:
        assert await status(live, "healthz", Host="media.example.org") == 200
        assert await status(live, "healthz", Host="box.lan:1") == 200
        assert await status(live, "healthz", Host="evil.example") == 421


async def test_the_address_that_a_client_came_to_is_a_name_of_ours(tiny_models: Path) -> None:
    async with live_server(tiny_models, host="0.0.0.0", allow_anonymous=True) as live:
        assert await status(live, "healthz", Host="10.1.1.1") == 421
        assert await status(live, "healthz", Host=f"127.0.0.1:{live.port}") == 200


async def test_with_keys_the_name_is_the_proxy_s_affair(tiny_models: Path) -> None:
    async with live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as live:
        assert await status(live, "healthz", Host="media.example.org") == 200


def signed(audience: str) -> str:
    claims = {"aud": audience, "sub": "test", "exp": 4_000_000_000}
    return jwt.encode(claims, KEYS["k1"], algorithm="HS256", headers={"kid": "k1"})


async def test_metrics_are_for_this_machine_and_who_may_control_the_server(tiny_models: Path) -> None:
    """A request that a proxy hands on is not from this machine."""
    outside = {"X-Forwarded-For": "198.51.100.1"}
    async with live_server(tiny_models) as live:
        assert await status(live, "metrics") == 200
        assert await status(live, "metrics", **outside) == 403
    async with live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as live:
        assert await status(live, "metrics") == 200
        assert await status(live, "metrics", **outside) == 403
        for audience, expected in (("mediaserver-control", 200), ("mediaserver", 403)):
            bearer = {"Authorization": f"Bearer {signed(audience)}"}
            assert await status(live, "metrics", **outside, **bearer) == expected


async def test_this_machine_is_this_machine_by_whichever_of_its_addresses(tiny_models: Path) -> None:
    addresses = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    address = next((ip for ip in addresses if not is_loopback(str(ip))), None)
    if address is None:
        pytest.skip("this machine has no address but the loopback's")
    async with live_server(tiny_models, host="0.0.0.0", allow_anonymous=True) as live:
        async with aiohttp.ClientSession(f"http://{address}:{live.port}") as http:
            for path in ("/metrics", "/healthz"):
                async with http.get(path) as response:
                    assert response.status == 200
