"""DTLS with clients of all kinds, and what is told where it fails."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from inference.account import Account
from inference.fair_threads import FairThreads
from mediaserver.settings.types import NetworkInterface
from mediaserver.webrtc.datagram_guard import datagram_surplus
from mediaserver.webrtc.peer import MediaFailure, Peer
from mediaserver.webrtc.remote_candidates import candidate_budget
from signaling.messages import MediaFailureCause
from tests.support.dtls_clients import dtls_client, rsa_certificate
from tests.support.receive_counts import ReceiveCounts
from tests.support.waiting import eventually

RSA_SUITES = b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA"


@contextlib.asynccontextmanager
async def answered(
    client: RTCPeerConnection, *, setup: str = "actpass", fingerprint: str | None = None
) -> AsyncIterator[tuple[Peer, list[MediaFailure], str]]:
    """``client`` offers with this ``a=setup`` and, if one is given, this fingerprint; the peer, its failures
    and its answer."""
    failures: list[MediaFailure] = []
    with FairThreads(1, "decode") as threads:
        peer = Peer(
            lane=threads.lane(Account()),
            on_frame=lambda frame: None,
            on_results_channel=lambda channel: None,
            on_failed=failures.append,
            on_refused=lambda words: None,
            candidate_budget=candidate_budget(),
            datagram_surplus=datagram_surplus(),
            observer=ReceiveCounts(),
            interfaces=(NetworkInterface("127.0.0.1"),),
        )
        try:
            await client.setLocalDescription(await client.createOffer())
            offer = client.localDescription.sdp.replace("a=setup:actpass", f"a=setup:{setup}")
            offer = re.sub(r"(a=candidate:(?:\S+ ){4})\S+", r"\g<1>127.0.0.1", offer)
            if fingerprint is not None:
                offer = re.sub("a=fingerprint:.*", f"a=fingerprint:{fingerprint}", offer)
            answer = await peer.answer(offer)
            await client.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            yield peer, failures, answer
        finally:
            await client.close()
            await peer.close()


@pytest.mark.parametrize("rsa", [False, True])
@pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
async def test_certificates_of_both_kinds_in_both_roles(setup: str, rsa: bool) -> None:
    """As the side that waits, a client with an RSA certificate has RSA suites only."""
    waits = setup == "passive"
    client = dtls_client(
        certificate=rsa_certificate() if rsa else None, ciphers=RSA_SUITES if rsa and waits else None
    )
    async with answered(client, setup=setup) as (peer, failures, answer):
        assert f"a=setup:{'active' if waits else 'passive'}" in answer
        await eventually(lambda: client.connectionState == "connected" or failures)
        assert failures == []
        await eventually(lambda: peer.unfinished is None)


async def test_no_cipher_suite_in_common_is_named() -> None:
    async with answered(dtls_client(ciphers=RSA_SUITES)) as (_, failures, _):
        await eventually(lambda: failures)
        assert failures == [
            MediaFailure(MediaFailureCause.DTLS, "the DTLS handshake failed: no shared cipher")
        ]


async def test_a_certificate_that_is_not_the_one_of_the_offer_is_named() -> None:
    other = "sha-256 " + ":".join(["AB"] * 32)
    async with answered(dtls_client(), fingerprint=other) as (_, failures, _):
        await eventually(lambda: failures)
        assert [failure.cause for failure in failures] == [MediaFailureCause.DTLS]
        assert "fingerprint" in failures[0].words
