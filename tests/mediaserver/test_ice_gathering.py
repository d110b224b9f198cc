from __future__ import annotations

import aioice
import pytest
from aiortc import RTCIceGatherer, RTCIceTransport

from mediaserver.ice_gathering import gather_only, gathered_addresses
from mediaserver.receiver import SeamMoved


async def gathered(addresses: list[str]) -> list[str]:
    gatherer = RTCIceGatherer(iceServers=[])
    transport = RTCIceTransport(gatherer)
    gather_only(transport, addresses)
    await gatherer.gather()
    try:
        return [candidate.ip for candidate in gatherer.getLocalCandidates()]
    finally:
        await transport.stop()


async def test_only_the_given_addresses_are_gathered_even_loopback() -> None:
    assert await gathered(["127.0.0.1", "127.0.0.2"]) == ["127.0.0.1", "127.0.0.2"]
    assert await gathered([]) == []


async def test_an_aioice_with_another_method_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gather(self: aioice.Connection, component: int) -> list[aioice.Candidate]:
        return []

    monkeypatch.setattr(aioice.Connection, "get_component_candidates", gather)
    with pytest.raises(SeamMoved, match="get_component_candidates"):
        await gathered([])


async def test_an_aiortc_without_the_connection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gatherer = RTCIceGatherer(iceServers=[])
    transport = RTCIceTransport(gatherer)
    monkeypatch.delattr(gatherer, "_connection")
    with pytest.raises(SeamMoved, match="_connection"):
        gather_only(transport, [])


def test_a_machine_without_a_network_has_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **families: [])
    assert gathered_addresses(()) == ["127.0.0.1"]
