from __future__ import annotations

import pytest
from aiortc.exceptions import InvalidStateError

from mediaserver.webrtc.result_flow import ResultFlow
from mediaserver.webrtc.results_channel import ResultsChannel


class Channel:
    """A data channel that is open, and takes ``largest`` bytes in a message as aiortc does."""

    readyState = "open"
    bufferedAmount = 0
    largest = 100

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.trouble: Exception | None = None

    def send(self, text: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        if len(text) > self.largest:
            raise ValueError("too large")
        self.sent.append(text)


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def results(channel: Channel) -> ResultsChannel:
    return ResultsChannel(channel, ResultFlow())  # type: ignore[arg-type]


def test_a_result_that_is_too_large_for_the_client_is_left_to_the_other_way(
    channel: Channel, results: ResultsChannel
) -> None:
    assert not results.send("x" * 101)
    assert results.is_open
    assert results.send("x" * 100)
    assert len(channel.sent) == 1


@pytest.mark.parametrize("trouble", [InvalidStateError(), ConnectionError()])
def test_a_channel_that_closes_is_used_no_more(
    channel: Channel, results: ResultsChannel, trouble: Exception
) -> None:
    channel.trouble = trouble
    assert not results.send("x")
    assert not results.is_open
