"""Chunks of SCTP packets, decrypted, into an association that is established and has sent on a data channel.

Framed as in `tests.fuzz.inputs.packets`; the common header is put before each packet.
"""

from __future__ import annotations

import asyncio
from struct import pack
from typing import Any

from aiortc import RTCDataChannel, RTCSctpTransport
from aiortc.rtcsctptransport import CookieEchoChunk, InitAckChunk, InitChunk, parse_packet
from google_crc32c import value as crc32c

from mediaserver.webrtc.aiortc_seam.sctp import guard_sctp
from mediaserver.webrtc.sctp_policy import SctpPolicy
from tests.fuzz.event_loop import run
from tests.fuzz.inputs import packets

MUTATIONS = 300
_INIT = 1
_FIRST_TSN = 1000
_STATE_COOKIE = 7
_OPEN = pack("!BBHLHH", 3, 0, 0, 0, 7, 0) + b"results"


def one_input(data: bytes) -> None:
    run(_receive(data))


class _Wire:
    """Takes the place of the `RTCDtlsTransport`."""

    state, _role = "connected", "server"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def _send_data(self, data: bytes) -> None:
        self.sent.append(data)

    def _register_data_receiver(self, receiver: object) -> None: ...

    def _unregister_data_receiver(self, receiver: object) -> None: ...


async def _receive(data: bytes) -> None:
    wire, refused = _Wire(), list[str]()
    transport = RTCSctpTransport(wire)  # type: ignore[arg-type]
    # Else random. The acknowledgement of the channel's opening is the first chunk, three results follow.
    transport._local_tsn = transport._reconfig_request_seq = _FIRST_TSN
    transport._last_sacked_tsn = transport._advanced_peer_ack_tsn = _FIRST_TSN - 1
    guard_sctp(transport, SctpPolicy(), refused.append)
    transport.on("datachannel", _greet)
    await transport.start(None, 5000)
    try:
        await _establish(transport, wire)
        for packet in packets(data):
            await _deliver(transport, packet)
            if refused:
                break
    finally:
        await transport.stop()
    # Each packet has one answer for each chunk at most, and acknowledges once.
    assert len(wire.sent) <= 20 + len(data)


def _greet(channel: RTCDataChannel) -> None:
    for _ in range(3):
        channel.send("a result")


async def _establish(transport: Any, wire: _Wire) -> None:
    """The other side begins with TSN 1 and opens a data channel on stream 2."""
    init = InitChunk()
    init.initiate_tag, init.initial_tsn, init.advertised_rwnd = 77, 1, 100_000
    init.inbound_streams = init.outbound_streams = 256
    await _deliver(transport, bytes(init))
    [init_ack] = [
        chunk for sent in wire.sent for chunk in parse_packet(sent)[3] if type(chunk) is InitAckChunk
    ]
    await _deliver(transport, bytes(CookieEchoChunk(body=dict(init_ack.params)[_STATE_COOKIE])))
    data = pack("!LHHL", 1, 2, 0, 50) + _OPEN
    await _deliver(transport, pack("!BBH", 0, 3, 4 + len(data)) + data + bytes(-len(data) % 4))


async def _deliver(transport: Any, chunks: bytes) -> None:
    tag = 0 if chunks[:1] == bytes([_INIT]) else transport._local_verification_tag
    header = pack("!HHL", 5000, 5000, tag)
    await transport._handle_data(header + pack("<L", crc32c(header + bytes(4) + chunks)) + chunks)
    await asyncio.sleep(0)  # what it has to send, it sends
