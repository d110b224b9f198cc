from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import aioice
import aiortc
import pytest
from aioice.stun import Class, Message, Method, TransactionTimeout
from aiortc import (
    RTCConfiguration,
    RTCIceGatherer,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    VideoStreamTrack,
)
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack

from mediaserver.webrtc.aiortc_seam.ice import (
    answers_check,
    gather_only,
    guard_datagrams,
    stop_consent_checks,
    take_turns,
)
from mediaserver.webrtc.aiortc_seam.media import ReceiverSeam, SenderSeam
from mediaserver.webrtc.aiortc_seam.names import AIORTC_VERSION, SeamMoved
from mediaserver.webrtc.aiortc_seam.transports import ice_transports
from mediaserver.webrtc.datagram_guard import DatagramGuard, datagram_surplus
from mediaserver.webrtc.remote_candidates import RemoteCandidates, candidate_budget
from tests.support.waiting import eventually


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


async def test_a_receiver_that_finds_no_room_for_its_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    receiver = RTCRtpReceiver("video", _transport())
    receiver._track = RemoteStreamTrack("video")
    failures: list[Exception] = []
    ReceiverSeam(receiver).watch_begin(failures.append)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        await receiver.receive(RTCRtpReceiveParameters(codecs=[], encodings=[]))
    assert [str(each) for each in failures] == ["can't start new thread"]


def test_a_sender_without_its_encoder_is_told() -> None:
    with pytest.raises(SeamMoved, match="_RTCRtpSender__encoder"):
        SenderSeam(object(), object())  # type: ignore[arg-type]


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


async def test_datagrams_that_wait_are_taken_in_turns_with_all_else() -> None:
    transport = RTCIceTransport(RTCIceGatherer(iceServers=[]))
    connection = transport._connection
    connection._nominated = {1: object()}
    take_turns(transport)
    for _ in range(100):
        connection._queue.put_nowait((b"\x80", 1))
    taken: list[int] = []

    async def take() -> None:
        for number in range(100):
            await transport._recv()
            taken.append(number)

    taking = asyncio.create_task(take())
    turns = 0
    while not taking.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(taken) == 100
    assert turns > 20, "it gave way"
    await transport.stop()


async def test_a_check_that_gets_no_answer_leaves_nothing_to_the_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aioice.stun.RETRY_RTO", 0.01)
    transport = RTCIceTransport(RTCIceGatherer(iceServers=[]))
    gather_only(transport, ["127.0.0.1"])
    candidates = RemoteCandidates(["127.0.0.1"], behind_nat=False, budget=candidate_budget())
    guard_datagrams(transport, DatagramGuard(candidates, datagram_surplus()))
    await transport.iceGatherer.gather()
    [protocol] = transport._connection._protocols
    gc.collect()
    gc.disable()
    try:
        message = Message(message_method=Method.BINDING, message_class=Class.REQUEST)
        asking = asyncio.create_task(protocol.request(message, ("127.0.0.1", 9), retransmissions=1))
        await eventually(lambda: protocol.transactions)
        [transaction] = map(weakref.ref, protocol.transactions.values())
        with pytest.raises(TransactionTimeout):
            await asking
        del asking
        await eventually(lambda: transaction() is None, 2)
    finally:
        gc.enable()
        await transport.stop()


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


async def test_the_other_side_is_asked_whether_it_is_there() -> None:
    near, far = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    try:
        near.createDataChannel("results")
        await near.setLocalDescription(await near.createOffer())
        await far.setRemoteDescription(near.localDescription)
        await far.setLocalDescription(await far.createAnswer())
        [transport] = ice_transports(near)
        assert not await answers_check(transport), "there is no pair in use yet"
        await near.setRemoteDescription(far.localDescription)
        await eventually(lambda: near.connectionState == far.connectionState == "connected")
        assert await answers_check(transport)
    finally:
        await far.close()
        await near.close()


@pytest.mark.parametrize("name", ["_nominated", "build_request", "remote_password"])
async def test_an_aioice_that_cannot_be_asked_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = RTCIceTransport(RTCIceGatherer(iceServers=[]))
    connection = transport.iceGatherer._connection
    owner = aioice.Connection if hasattr(aioice.Connection, name) else connection
    monkeypatch.delattr(owner, name)
    with pytest.raises(SeamMoved, match=name):
        await answers_check(transport)
