from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.support.impairment import Address, Impairment, ImpairmentRelay

MEDIA, STUN = 0x80, 0x00


class Peer(asyncio.DatagramProtocol):
    """A UDP socket that keeps what it receives and when."""

    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self.received: list[tuple[float, bytes]] = []
        self._arrival = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.received.append((time.monotonic(), data))
        self._arrival.set()

    @property
    def numbers(self) -> list[int]:
        return [int.from_bytes(data[1:]) for _, data in self.received]

    async def wait_for(self, count: int) -> None:
        await self.until(lambda: len(self.received) >= count)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._arrival.clear()
                await self._arrival.wait()


class Path:
    """A client and a server that know each other only through the relay's rewritten candidates."""

    def __init__(self, relay: ImpairmentRelay) -> None:
        self.relay = relay
        self.client, self.server = Peer(), Peer()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for peer in (self.client, self.server):
            peer.transport, _ = await loop.create_datagram_endpoint(
                lambda peer=peer: peer,  # type: ignore[misc]
                local_addr=("127.0.0.1", 0),
            )
        # Each sends once, so that the relay knows where to forward to.
        self.send(self.server, STUN, 0)
        await asyncio.sleep(0.01)
        self.send(self.client, STUN, 0)
        await self.server.wait_for(1)
        self.server.received.clear()
        self.client.received.clear()

    def send(self, peer: Peer, first_byte: int, number: int) -> None:
        rewrite = self.relay.candidate_to_client if peer is self.client else self.relay.candidate_to_server
        host, port = rewrite("candidate:1 1 udp 2130706431 192.0.2.1 9 typ host").split()[4:6]
        peer.transport.sendto(bytes([first_byte]) + number.to_bytes(2), (host, int(port)))


@asynccontextmanager
async def path(uplink: Impairment, *, seed: int = 1) -> AsyncIterator[Path]:
    async with ImpairmentRelay(uplink, seed=seed) as relay:
        path = Path(relay)
        await path.open()
        try:
            yield path
        finally:
            path.client.transport.close()
            path.server.transport.close()


async def send_media(path: Path, count: int) -> None:
    for number in range(count):
        path.send(path.client, MEDIA, number)
        if number % 20 == 19:
            await asyncio.sleep(0)


async def test_it_forwards_in_both_directions() -> None:
    async with path(Impairment()) as p:
        p.send(p.client, MEDIA, 1)
        p.send(p.server, MEDIA, 2)
        await p.server.wait_for(1)
        await p.client.wait_for(1)
        assert (p.server.numbers, p.client.numbers) == ([1], [2])


async def lost_of(seed: int, impairment: Impairment) -> list[int]:
    async with path(impairment, seed=seed) as p:
        await send_media(p, 200)
        p.send(p.client, STUN, 999)
        await p.server.until(lambda: 999 in p.server.numbers)
        return sorted(set(range(200)) - set(p.server.numbers))


async def test_losses_follow_the_seed() -> None:
    lost = await lost_of(1, Impairment(loss=0.2))
    assert 20 <= len(lost) <= 60
    assert lost == await lost_of(1, Impairment(loss=0.2))
    assert lost != await lost_of(2, Impairment(loss=0.2))


async def test_bursts_are_runs_of_losses() -> None:
    lost = await lost_of(1, Impairment(burst=0.03, burst_length=10))
    assert len(lost) >= 10
    assert lost[9] - lost[0] == 9


async def test_delay_and_jitter_keep_the_order() -> None:
    async with path(Impairment(delay=0.05, jitter=0.03)) as p:
        sent = time.monotonic()
        await send_media(p, 40)
        await p.server.wait_for(40)
        assert p.server.received[0][0] - sent >= 0.05
        assert p.server.numbers == sorted(p.server.numbers)


async def test_reordering_and_duplication() -> None:
    async with path(Impairment(reorder=0.2, duplicate=0.2)) as p:
        await send_media(p, 60)
        await p.server.wait_for(61)
        await asyncio.sleep(0.03)
        assert p.server.numbers != sorted(p.server.numbers)
        assert set(p.server.numbers) == set(range(60))


async def test_stun_may_be_spared() -> None:
    async with path(Impairment(loss=1.0)) as p:
        p.send(p.client, MEDIA, 1)
        p.send(p.client, STUN, 2)
        await p.server.wait_for(1)
        assert p.server.numbers == [2]
        assert p.relay.uplink.lost == 1


async def test_the_kill_switch_stops_everything_until_it_is_undone() -> None:
    async with path(Impairment()) as p:
        p.relay.kill()
        p.send(p.client, STUN, 1)
        await asyncio.sleep(0.02)
        p.relay.kill(False)
        p.send(p.client, STUN, 2)
        await p.server.wait_for(1)
        assert p.server.numbers == [2]


@pytest.mark.parametrize("line", ["a=candidate:7 1 UDP 99 0a1b.local 5000 typ host generation 0"])
async def test_one_candidate_per_section_is_left_and_leads_to_the_relay(line: str) -> None:
    sdp = f"v=0\r\nm=video 9 X 97\r\n{line}\r\n{line}\r\na=mid:0\r\nm=application 9 X\r\n{line}\r\n"
    async with ImpairmentRelay() as relay:
        lines = relay.sdp_to_server(sdp).splitlines()
        port = relay.downlink.transport.get_extra_info("sockname")[1]
    rewritten = f"a=candidate:7 1 udp 99 127.0.0.1 {port} typ host"
    assert lines == ["v=0", "m=video 9 X 97", rewritten, "a=mid:0", "m=application 9 X", rewritten]
