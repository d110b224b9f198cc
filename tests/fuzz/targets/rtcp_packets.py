"""RTCP packets, decrypted, through aiortc and into the capture clock; see `tests.fuzz.inputs.packets`."""

from __future__ import annotations

from tests.fuzz.event_loop import run
from tests.fuzz.inputs import packets
from tests.fuzz.media_transport import receiving

MUTATIONS = 250


def one_input(data: bytes) -> None:
    run(_receive(data))


async def _receive(data: bytes) -> None:
    async with receiving() as transport:
        for packet in packets(data):
            if transport.refused:
                break
            await transport.rtcp(packet)
