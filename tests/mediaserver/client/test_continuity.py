from __future__ import annotations

from typing import Any

from mediaserver.client.continuity import Continuity
from mediaserver.client.errors import Unreachable
from signaling.findings import FrameInfo
from signaling.messages import OcrEvent, Pong, Trigger


class Link:
    """What `Continuity` uses of a `mediaserver.client.link.Link`."""

    def __init__(self, *, lost: bool = False) -> None:
        self.sent: list[object] = []
        self._lost = lost

    async def send(self, message: object) -> None:
        if self._lost:
            raise Unreachable("gone")
        self.sent.append(message)

    async def ping(self) -> int:
        return 7


def link(**given: Any) -> Any:
    return Link(**given)


async def test_a_trigger_whose_ping_got_no_answer_is_said_again() -> None:
    continuity, first, second = Continuity(), link(), link()
    await continuity.request_ocr(first)
    await continuity.repeat_request(link(lost=True))
    await continuity.repeat_request(second)
    assert second.sent == first.sent == [Trigger()]


async def test_one_that_was_received_is_not() -> None:
    continuity, next_one = Continuity(), link()
    await continuity.request_ocr(link())
    continuity.take(Pong(7, 0.0))
    await continuity.repeat_request(next_one)
    assert next_one.sent == []


def test_the_newest_event_and_result_are_known() -> None:
    continuity = Continuity()
    assert (continuity.last_event_id, continuity.seq_floor) == (0, 0)
    continuity.take(OcrEvent(FrameInfo(None, 0.0, None, 64, 48), [], id=3))
    assert continuity.last_event_id == 3
    assert [continuity.is_new(seq) for seq in (1, 3, 2)] == [True, True, False]
    assert continuity.seq_floor > 3
