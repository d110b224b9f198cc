from __future__ import annotations

import pytest

from mediaserver.settings.types import (
    Host,
    HostPort,
    HttpUrl,
    IceUrl,
    IpAddress,
    ModelMirror,
    NetworkInterface,
    Origin,
    Secret,
    TokenKeys,
)


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


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://example.org", "https://example.org"),
        ("HTTPS://Example.ORG:443", "https://example.org"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_written_as_browsers_do(text: str, origin: str) -> None:
    assert Origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["", "*", "null", "example.org", "https://", "https://a/", "https://u@a", "ftp://a", "https://a:99999"],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HTTP URL|no path"):
        Origin(text)


def test_a_base_address_has_an_origin_and_may_have_a_path() -> None:
    url = HttpUrl("https://API.example.org:8443/prod/")
    assert (url, url.origin) == ("https://API.example.org:8443/prod", "https://api.example.org:8443")


@pytest.mark.parametrize(
    "text", ["", "/api", "ws://a", "https://a/b c", "https://a?b", "https://a/b?c", "https://a;b"]
)
def test_what_is_no_base_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HTTP URL|no query"):
        HttpUrl(text)


def test_a_secret_shows_itself_only_on_request() -> None:
    assert "hush" not in f"{Secret('hush')} {Secret('hush')!r}"
    assert Secret("hush").value == "hush"


def test_keys_show_themselves_only_on_request() -> None:
    keys = TokenKeys('{"k1": "hush, and for 32 bytes of silence"}')
    assert "hush" not in f"{keys} {keys!r}"
    assert keys.by_id == {"k1": "hush, and for 32 bytes of silence"}
    with pytest.raises(ValueError, match="at least 32 bytes") as refused:
        TokenKeys('{"k1": "hush"}')
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(("text", "is_address"), [("127.0.0.1:8001", True), ("triton.local:65535", False)])
def test_a_server_is_a_host_and_a_port(text: str, is_address: bool) -> None:
    assert HostPort(text) == text
    assert HostPort(text).is_address is is_address


@pytest.mark.parametrize(
    "text", ["", "triton", "triton:", ":8001", "triton:0", "triton:65536", "http://a:1", "a b:1"]
)
def test_what_names_no_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a host and port"):
        HostPort(text)


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "::1", "fe80::1%eth0", "localhost", "media.example.org.", "bücher"]
)
def test_a_host_is_an_address_or_a_name(text: str) -> None:
    assert Host(text) == text


TOO_LONG = ("a" * 64, f"{'a' * 64}.example.org", ".".join(["a" * 63] * 4))
"""For DNS: RFC 1035, section 2.3.4."""


@pytest.mark.parametrize("text", ["", "a..b", *TOO_LONG])
def test_a_name_that_dns_cannot_have_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        Host(text)


@pytest.mark.parametrize("name", TOO_LONG)
@pytest.mark.parametrize(
    ("kind", "around"),
    [(HostPort, "{}:80"), (HttpUrl, "http://{}/"), (Origin, "http://{}"), (IceUrl, "stun:{}:3478")],
)
def test_nor_is_it_part_of_an_address(kind: type[str], around: str, name: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        kind(around.format(name))


def test_a_mirror_is_a_url_or_a_folder() -> None:
    assert ModelMirror("https://example.org/models/") == "https://example.org/models"
    assert ModelMirror("../models/") == "../models"
    for text in ("", "ftp://example.org", "https://example.org/?a=b"):
        with pytest.raises(ValueError, match=r"."):
            ModelMirror(text)
