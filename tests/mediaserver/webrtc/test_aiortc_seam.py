from __future__ import annotations

import aioice
import aiortc
import pytest
from aiortc import (
    RTCConfiguration,
    RTCIceGatherer,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    VideoStreamTrack,
)

from mediaserver.webrtc.aiortc_seam import (
    AIORTC_VERSION,
    EncoderSeam,
    ReceiverSeam,
    SeamMoved,
    gather_only,
    ice_transports,
    stop_consent_checks,
)


def test_this_is_the_aiortc_that_the_seam_was_written_for() -> None:
    assert aiortc.__version__ == AIORTC_VERSION


async def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiortc, "__version__", "9.9.9")
    with pytest.raises(SeamMoved, match=r"aiortc is 9\.9\.9"):
        ReceiverSeam(RTCRtpReceiver("video", _transport()))


@pytest.mark.parametrize("name", ReceiverSeam.NAMES)
async def test_a_name_that_is_gone_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = RTCRtpReceiver("video", _transport())
    if hasattr(RTCRtpReceiver, name):
        monkeypatch.delattr(RTCRtpReceiver, name)
    else:
        delattr(receiver, name)
    with pytest.raises(SeamMoved, match=name):
        ReceiverSeam(receiver)


def _transport() -> aiortc.RTCDtlsTransport:
    ice = aiortc.RTCIceTransport(aiortc.RTCIceGatherer(iceServers=[]))
    return aiortc.RTCDtlsTransport(ice, [aiortc.RTCCertificate.generateCertificate()])


def test_a_sender_without_its_encoder_is_told() -> None:
    with pytest.raises(SeamMoved, match="_RTCRtpSender__encoder"):
        EncoderSeam(object())  # type: ignore[arg-type]


async def test_each_transport_is_listed_once() -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        peer.addTransceiver(VideoStreamTrack(), direction="sendonly")
        peer.addTransceiver("audio", direction="recvonly")
        peer.createDataChannel("results")
        await peer.setLocalDescription(await peer.createOffer())
        assert len(ice_transports(peer)) == 3, "before BUNDLE is agreed each section has its own"
    finally:
        await peer.close()


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


async def test_an_aioice_without_consent_checks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(aioice.Connection, "query_consent")
    with pytest.raises(SeamMoved, match="query_consent"):
        stop_consent_checks(RTCIceTransport(RTCIceGatherer(iceServers=[])))
