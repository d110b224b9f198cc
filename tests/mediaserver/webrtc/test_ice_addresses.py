from __future__ import annotations

import ifaddr
import pytest

from mediaserver.settings.model import Settings
from mediaserver.settings.types import IceUrl, NetworkInterface, Secret
from mediaserver.webrtc.ice_addresses import announced, ice_servers, listed_addresses
from signaling.messages import IceServer

STUN = IceUrl("stun:stun.example.org")
TURN = (IceUrl("turn:turn.example.org"), IceUrl("turn:turn.example.org?transport=tcp"))


def test_nothing_is_handed_out_unless_configured() -> None:
    assert ice_servers(Settings(), "abc", 0.0) == []


def test_a_stun_server_needs_no_credentials() -> None:
    assert ice_servers(Settings(ice_servers=(STUN,)), "abc", 0.0) == [IceServer(["stun:stun.example.org"])]


def test_turn_credentials_name_the_session_and_expire() -> None:
    settings = Settings(ice_servers=(STUN, *TURN), turn_secret=Secret("north"), turn_ttl_s=3600)
    assert ice_servers(settings, "abc", 1_700_000_000.9)[1] == IceServer(
        urls=["turn:turn.example.org", "turn:turn.example.org?transport=tcp"],
        username="1700003600:abc",
        # printf 1700003600:abc | openssl dgst -sha1 -hmac north -binary | base64
        credential="IMSPYGMI9e0aXDFcZousOwkA8N0=",
    )


def adapter(name: str, *addresses: str | tuple[str, int, int]) -> ifaddr.Adapter:
    return ifaddr.Adapter(name, name, [ifaddr.IP(address, 24, name) for address in addresses])


ADAPTERS = [
    adapter("lo", "127.0.0.1", ("::1", 0, 0)),
    adapter("eth0", "10.0.0.5", ("2001:db8::5", 0, 0), ("fe80::5", 0, 2)),
    adapter("docker0", "172.17.0.1"),
]


@pytest.mark.parametrize(
    ("interfaces", "addresses"),
    [
        (["eth0"], ["10.0.0.5", "2001:db8::5"]),
        (["lo"], ["127.0.0.1", "::1"]),
        (["10.0.0.0/8"], ["10.0.0.5"]),
        (["172.17.0.1", "2001:db8::/32"], ["2001:db8::5", "172.17.0.1"]),
        (["eth0", "10.0.0.5"], ["10.0.0.5", "2001:db8::5"]),
        (["eth"], []),
        (["fe80::5"], []),
    ],
)
def test_an_interface_lists_its_addresses(interfaces: list[str], addresses: list[str]) -> None:
    assert listed_addresses([NetworkInterface(text) for text in interfaces], ADAPTERS) == addresses


ANSWER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "m=video 40001 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 10.0.0.5",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=candidate:f1 1 udp 2130706431 10.0.0.5 40001 typ host",
        "a=candidate:f2 1 udp 2130706431 8.8.8.8 40002 typ host",
        "a=candidate:f3 1 udp 2130706431 fd00::5 40003 typ host",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "",
    ]
)


def test_the_public_address_stands_for_the_private_one_of_its_family() -> None:
    assert announced(ANSWER, "203.0.113.7") == ANSWER.replace("10.0.0.5", "203.0.113.7")


def test_an_ipv6_address_stands_for_the_private_ipv6_address() -> None:
    assert announced(ANSWER, "2001:db8::7") == ANSWER.replace("fd00::5", "2001:db8::7")
