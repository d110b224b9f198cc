"""What no well-meaning client sends over WebRTC. Each is given a connected client and goes on for so many
seconds, or until the server ends it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from struct import pack
from typing import TypeAlias

from aiortc.rtcsctptransport import ForwardTsnChunk, SackChunk
from aiortc.rtp import RtpPacket

from tests.support.webrtc_client import WebrtcClient

Attack: TypeAlias = Callable[[WebrtcClient, float], Awaitable[None]]
WHOLE, FIRST, MIDDLE = 3, 2, 0


async def paced(seconds: float, per_s: float, send: Callable[[int], Awaitable[None]]) -> None:
    """Calls ``send`` with 0, 1, … at that rate for so long, or until the peer is closed."""
    began = time.monotonic()
    number = 0
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - began < seconds:
            await send(number)
            number += 1
            await asyncio.sleep(began + number / per_s - time.monotonic())


async def fragments_of_a_message_without_end(client: WebrtcClient, seconds: float) -> None:
    async def send(number: int) -> None:
        await client.send_sctp(
            *(client.data(b"x", flags=MIDDLE if number or part else FIRST) for part in range(60))
        )

    await paced(seconds, 20, send)


async def a_flood_of_words(client: WebrtcClient, seconds: float) -> None:
    await paced(seconds, 200, lambda number: client.send_sctp(client.data(bytes(900), flags=WHOLE)))


async def data_that_leaves_one_out(client: WebrtcClient, seconds: float) -> None:
    client.data(b"", flags=WHOLE)  # never sent
    await paced(
        seconds, 20, lambda number: client.send_sctp(*(client.data(b"x", flags=WHOLE) for _ in range(40)))
    )


async def acknowledgements_of_what_was_never_sent(client: WebrtcClient, seconds: float) -> None:
    sctp = client.peer.sctp
    chunk = SackChunk()
    chunk.cumulative_tsn, chunk.advertised_rwnd = sctp._last_received_tsn or 0, 100_000  # type: ignore[union-attr]
    chunk.gaps = [(1, 65535)] * 250
    await paced(seconds, 20, lambda number: client.send_sctp(chunk))


async def channels_without_number(client: WebrtcClient, seconds: float) -> None:
    async def send(number: int) -> None:
        chunk = client.data(pack("!BBHLHH", 3, 0, 0, 0, 1, 0) + b"x", flags=WHOLE, protocol=50)
        chunk.stream_id = 2 * number + 100
        await client.send_sctp(chunk)

    client.hears_nothing()
    await paced(seconds, 100, send)


SCTP_ATTACKS: list[Attack] = [
    fragments_of_a_message_without_end,
    a_flood_of_words,
    data_that_leaves_one_out,
    acknowledgements_of_what_was_never_sent,
    channels_without_number,
]


async def a_parameter_of_length_0(client: WebrtcClient, seconds: float) -> None:
    await paced(seconds, 20, lambda number: client.send_sctp(pack("!BBHHHHH", 4, 0, 12, 1, 0, 0, 0)))


async def streams_to_skip(client: WebrtcClient, seconds: float) -> None:
    async def send(number: int) -> None:
        chunk = ForwardTsnChunk()
        chunk.cumulative_tsn = client.data(b"", flags=WHOLE).tsn
        chunk.streams = [((number * 280 + each) % 65536, 1) for each in range(280)]
        await client.send_sctp(chunk)

    await paced(seconds, 50, send)


def rtp(client: WebrtcClient, number: int, payload: bytes, *, ssrc: int | None = None) -> bytes:
    return RtpPacket(
        payload_type=client.payload_type,
        sequence_number=number & 0xFFFF,
        timestamp=1000,
        ssrc=client.sender._ssrc if ssrc is None else ssrc,
        payload=payload,
    ).serialize()


async def keyframes_that_never_end(client: WebrtcClient, seconds: float) -> None:
    await paced(seconds, 200, lambda number: client.send_rtp(rtp(client, number, b"\x10\x9c\0\0")))


async def a_new_source_each_time(client: WebrtcClient, seconds: float) -> None:
    await paced(
        seconds, 200, lambda number: client.send_rtp(rtp(client, 0, b"\x10\x9c\0\0", ssrc=number + 1))
    )


async def a_flood_of_packets(client: WebrtcClient, seconds: float) -> None:
    async def send(number: int) -> None:
        for part in range(50):
            await client.send_rtp(rtp(client, 50 * number + part, b"\x10\x9c\0\0"))

    await paced(seconds, 60, send)


MEDIA_ATTACKS: list[Attack] = [
    a_parameter_of_length_0,
    streams_to_skip,
    keyframes_that_never_end,
    a_new_source_each_time,
    a_flood_of_packets,
]
