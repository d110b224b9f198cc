"""A `Peer` on the loopback interface that nobody connects to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mediaserver.settings.types import NetworkInterface
from mediaserver.webrtc.datagram_guard import datagram_surplus
from mediaserver.webrtc.peer import Peer
from mediaserver.webrtc.remote_candidates import candidate_budget
from tests.fuzz.media_transport import NoDecoding
from tests.support.receive_counts import ReceiveCounts


@asynccontextmanager
async def idle_peer() -> AsyncIterator[Peer]:
    counts = ReceiveCounts()
    peer = Peer(
        lane=NoDecoding(),
        on_frame=lambda frame: None,
        on_results_channel=lambda channel: None,
        on_failed=lambda: None,
        on_refused=lambda words: None,
        candidate_budget=candidate_budget(),
        datagram_surplus=datagram_surplus(),
        observer=counts,
        interfaces=(NetworkInterface("127.0.0.1"),),
    )
    try:
        yield peer
    finally:
        await peer.close()
    assert counts.faults == 0
