"""RTP packets, decrypted, through aiortc and into the assembler.

Framed as in `tests.fuzz.inputs.packets`; the first two bytes of each are the seconds since the one before.
"""

from __future__ import annotations

from tests.fuzz.event_loop import run
from tests.fuzz.inputs import packets
from tests.fuzz.media_transport import receiving

MUTATIONS = 250


def one_input(data: bytes) -> None:
    run(_receive(data))


async def _receive(data: bytes) -> None:
    arrived_s = 1_700_000_000
    async with receiving() as transport:
        for packet in packets(data):
            if transport.refused:
                break
            arrived_s += int.from_bytes(packet[:2])
            await transport.rtp(packet[2:], arrived_s * 1000)
