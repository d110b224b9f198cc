from __future__ import annotations

import pytest

from signaling.messages import (
    Bye,
    Candidate,
    ClientMessage,
    Configure,
    ErrorCode,
    Hello,
    Offer,
    Ping,
    ProtocolError,
    Trigger,
)
from signaling.negotiation import Negotiation, State
from signaling.pipeline_config import PipelineConfig

ANYTIME: list[ClientMessage] = [Configure(PipelineConfig()), Trigger(), Ping()]


def welcomed() -> Negotiation:
    negotiation = Negotiation()
    negotiation.receive(Hello())
    return negotiation


def test_the_usual_course() -> None:
    negotiation = Negotiation()
    negotiation.receive(Hello())
    assert negotiation.state is State.READY
    negotiation.receive(Offer("v=0"))
    assert negotiation.state is State.ANSWERING
    negotiation.answered()
    negotiation.receive(Candidate(None))
    assert negotiation.state is State.NEGOTIATED
    negotiation.receive(Bye())
    assert negotiation.state is State.CLOSED


@pytest.mark.parametrize("message", [*ANYTIME, Offer("v=0"), Candidate(None), Bye()])
def test_nothing_comes_before_hello(message: ClientMessage) -> None:
    negotiation = Negotiation()
    with pytest.raises(ProtocolError, match="say hello first") as refused:
        negotiation.receive(message)
    assert refused.value.code is ErrorCode.UNEXPECTED_MESSAGE
    assert refused.value.fatal
    assert negotiation.state is State.NEW


def test_a_frame_before_hello_is_refused() -> None:
    with pytest.raises(ProtocolError):
        Negotiation().receive_frame()


def test_a_second_hello_is_refused_and_changes_nothing() -> None:
    negotiation = welcomed()
    with pytest.raises(ProtocolError) as refused:
        negotiation.receive(Hello())
    assert not refused.value.fatal
    assert negotiation.state is State.READY


def test_another_version_is_refused() -> None:
    with pytest.raises(ProtocolError) as refused:
        Negotiation().receive(Hello(protocol=99))
    assert refused.value.code is ErrorCode.UNSUPPORTED_VERSION
    assert refused.value.fatal


def test_after_a_refused_offer_another_may_come() -> None:
    negotiation = welcomed()
    negotiation.receive(Offer("garbage"))
    negotiation.refused(earlier_stays=False)
    negotiation.receive(Offer("v=0"))
    assert negotiation.state is State.ANSWERING


def test_a_new_offer_replaces_the_old() -> None:
    negotiation = welcomed()
    for _ in range(2):
        negotiation.receive(Offer("v=0"))
        negotiation.answered()
    assert negotiation.state is State.NEGOTIATED


@pytest.mark.parametrize("message", ANYTIME)
def test_some_messages_may_come_at_any_time(message: ClientMessage) -> None:
    negotiation = welcomed()
    negotiation.receive(message)
    assert negotiation.state is State.READY
    negotiation.receive_frame()


def test_nothing_comes_after_the_end() -> None:
    negotiation = welcomed()
    negotiation.close()
    with pytest.raises(ProtocolError):
        negotiation.receive(Ping())
    with pytest.raises(ProtocolError):
        negotiation.receive_frame()
