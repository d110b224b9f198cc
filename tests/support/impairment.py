"""A UDP relay on this machine that loses, delays, reorders and duplicates what two WebRTC peers send.

Pass each side's SDP (or trickled candidates) through the relay: every candidate then leads to the relay,
which forwards in both directions. STUN and DTLS may go untouched, so that connecting stays quick.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from dataclasses import dataclass
from typing import Any

from mediaserver.settings.types import NetworkInterface

_CANDIDATE = re.compile(
    r"(?P<head>candidate:\S+ \d+ )(?P<transport>\S+)(?P<priority> \d+ )(?P<host>\S+) (?P<port>\d+)"
    r"(?P<typ> typ \S+).*"
)


@dataclass(frozen=True, slots=True)
class Impairment:
    """What happens to the datagrams of one direction. Probabilities are per datagram, times in seconds.

    ``burst`` is the probability that a burst of ``burst_length`` losses begins. ``jitter`` is added to
    ``delay``, uniformly from 0 up, and keeps the order; ``reorder`` is the probability that a datagram is
    held ``reorder_delay`` longer and may be overtaken.
    """

    loss: float = 0.0
    burst: float = 0.0
    burst_length: int = 10
    delay: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0
    reorder_delay: float = 0.02
    duplicate: float = 0.0
    media_only: bool = True
    """Leaves STUN and DTLS alone; SRTP and SRTCP begin with 128..191 (RFC 7983)."""

    def touches(self, datagram: bytes) -> bool:
        return not self.media_only or 128 <= datagram[0] <= 191


Address = tuple[str, int]


class _Direction(asyncio.DatagramProtocol):
    """The socket that one peer takes for the other. ``peer`` is who sends to it: the first one heard,
    because ICE tries several of a peer's addresses and answers must go back to the same one."""

    def __init__(self, seed: int) -> None:
        self.impairment = Impairment()
        self.other: _Direction
        self.peer: Address | None = None
        self.dead = False
        self.drop_next = 0
        self.forwarded = 0
        self.lost = 0
        self._random = random.Random(seed)
        self._earliest = 0.0
        self._delayed: deque[asyncio.TimerHandle] = deque()
        self.transport: asyncio.DatagramTransport

    async def open(self) -> None:
        """Also anew, with another port."""
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.peer = self.peer or addr[:2]
        if addr[:2] != self.peer or self.dead:
            return
        if not self.impairment.touches(data):
            self._forward(data)
        elif self._is_lost():
            self.lost += 1
        else:
            self._forward_later(data)
            if self._random.random() < self.impairment.duplicate:
                self._forward_later(data)

    def close(self) -> None:
        for handle in self._delayed:
            handle.cancel()
        self.transport.close()

    def _is_lost(self) -> bool:
        if self.drop_next == 0 and self._random.random() < self.impairment.burst:
            self.drop_next = self.impairment.burst_length
        if self.drop_next > 0:
            self.drop_next -= 1
            return True
        return self._random.random() < self.impairment.loss

    def _forward_later(self, data: bytes) -> None:
        impairment = self.impairment
        loop = asyncio.get_running_loop()
        at = loop.time() + impairment.delay + self._random.random() * impairment.jitter
        # A microsecond apart, because timers of equal time run in any order.
        self._earliest = at = max(at, self._earliest + 1e-6)
        if self._random.random() < impairment.reorder:
            at += impairment.reorder_delay
        if at <= loop.time():
            self._forward(data)
            return
        while self._delayed and self._delayed[0].when() < loop.time():
            self._delayed.popleft()
        self._delayed.append(loop.call_at(at, self._forward, data))

    def _forward(self, data: bytes) -> None:
        if self.other.peer is not None and not self.other.transport.is_closing():
            self.forwarded += 1
            self.other.transport.sendto(data, self.other.peer)


RELAY_INTERFACES = (NetworkInterface("127.0.0.1"),)
"""For the setting ``ice_interfaces``: only a server that is on loopback itself sends to a relay there."""


class ImpairmentRelay:
    """Stands between one client and one server; an asynchronous context manager.

    ``uplink`` is what the client sends, ``downlink`` what the server sends; their ``impairment`` may be
    replaced and ``drop_next`` (lose the next n) set at any time.
    """

    def __init__(
        self, uplink: Impairment | None = None, downlink: Impairment | None = None, *, seed: int = 0
    ) -> None:
        self.uplink = _Direction(seed)
        self.downlink = _Direction(seed + 1)
        self.uplink.other, self.downlink.other = self.downlink, self.uplink
        self.uplink.impairment = uplink or Impairment()
        self.downlink.impairment = downlink or Impairment()

    async def __aenter__(self) -> ImpairmentRelay:
        await self.uplink.open()
        await self.downlink.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.uplink.close()
        self.downlink.close()

    def kill(self, dead: bool = True) -> None:
        """Drops everything in both directions, or stops doing so."""
        self.uplink.dead = self.downlink.dead = dead

    async def rebind(self) -> None:
        """As a NAT that forgets a mapping: from now on what the client sends comes from another port, and
        what is sent to the old one is lost."""
        forgotten = self.downlink.transport
        await self.downlink.open()
        forgotten.close()

    def sdp_to_server(self, sdp: str) -> str:
        """The client's SDP as the server should see it."""
        return self._rewrite_sdp(sdp, self.downlink)

    def sdp_to_client(self, sdp: str) -> str:
        """The server's SDP as the client should see it."""
        return self._rewrite_sdp(sdp, self.uplink)

    def candidate_to_server(self, candidate: str) -> str:
        """The client's ``candidate:…`` line as the server should see it."""
        return self._rewrite_candidate(candidate, self.downlink)

    def candidate_to_client(self, candidate: str) -> str:
        """The server's ``candidate:…`` line as the client should see it."""
        return self._rewrite_candidate(candidate, self.uplink)

    def _rewrite_sdp(self, sdp: str, direction: _Direction) -> str:
        """Keeps one candidate per media section, leading here."""
        lines = []
        have_candidate = False
        for line in sdp.splitlines():
            if line.startswith("m="):
                have_candidate = False
            if line.startswith("a=candidate:"):
                if have_candidate:
                    continue
                have_candidate = True
                lines.append("a=" + self._rewrite_candidate(line.removeprefix("a="), direction))
            else:
                lines.append(line)
        return "\r\n".join(lines) + "\r\n"

    def _rewrite_candidate(self, candidate: str, direction: _Direction) -> str:
        match = _CANDIDATE.fullmatch(candidate)
        if match is None:
            return candidate
        host, port = direction.transport.get_extra_info("sockname")
        return f"{match['head']}udp{match['priority']}{host} {port} typ host"
