from __future__ import annotations

import pytest

from mediaserver.setting_types import IceUrl, IpAddress, NetworkInterface, Secret


def test_an_address_is_kept_in_its_shortest_form() -> None:
    assert IpAddress("2001:DB8:0::1") == "2001:db8::1"
    with pytest.raises(ValueError, match="example"):
        IpAddress("example.org")


@pytest.mark.parametrize(
    ("text", "is_turn"),
    [
        ("stun:stun.example.org", False),
        ("stuns:192.0.2.1:5349", False),
        ("turn:turn.example.org:3478?transport=tcp", True),
        ("turns:[2001:db8::1]:443", True),
    ],
)
def test_a_url_of_rfc_7064_or_7065_is_taken(text: str, is_turn: bool) -> None:
    assert IceUrl(text).is_turn is is_turn


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stun:",
        "stun.example.org",
        "https://example.org",
        "turn:user@example.org",
        "turn:example.org:65536",
        "turn:example.org?transport=sctp",
        "stun:example.org?transport=udp",
        "turn:2001:db8::1",
    ],
)
def test_any_other_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TURN URL"):
        IceUrl(text)


@pytest.mark.parametrize("text", ["eth0", "wlp3s0", "10.0.0.5", "10.0.0.0/8", "fd00::/8"])
def test_an_interface_is_a_name_an_address_or_a_network(text: str) -> None:
    assert NetworkInterface(text) == text


@pytest.mark.parametrize("text", ["", "two words", "10.0.0.0/99", "fd00::/x", "longer-than-linux-allows"])
def test_what_is_none_of_them_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an interface"):
        NetworkInterface(text)


def test_a_secret_shows_itself_only_on_request() -> None:
    assert "hush" not in f"{Secret('hush')} {Secret('hush')!r}"
    assert Secret("hush").value == "hush"
