from __future__ import annotations

import aioice.ice
import ifaddr
import pytest

from mediaserver.webrtc.ice_gathering import gathered_addresses


def test_a_machine_without_a_network_has_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **families: [])
    assert gathered_addresses(()) in (["127.0.0.1"], ["127.0.0.1", "::1"])


def test_a_machine_with_ipv6_only_has_itself_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **families: [])
    loopback = ifaddr.Adapter("lo", "lo", [ifaddr.IP(("::1", 0, 0), 128, "lo")])
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [loopback])
    assert gathered_addresses(()) == ["::1"]
