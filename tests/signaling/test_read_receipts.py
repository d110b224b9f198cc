from __future__ import annotations

from signaling.read_receipts import ReadReceipts


def test_the_pong_of_the_last_ping_says_that_all_was_read() -> None:
    receipts = ReadReceipts()
    first = receipts.ask(10.0)
    assert first is not None
    assert receipts.ask(10.7) is None, "one is under way"
    assert receipts.unread_s(12.0) == 2.0
    receipts.take(first)
    assert receipts.unread_s(12.0) == 0.0
    assert receipts.ask(10.4) is None, "too soon"
    second = receipts.ask(12.0)
    assert second is not None
    receipts.take(first)
    receipts.take(b"")
    assert receipts.unread_s(13.0) == 1.0, "these answer something else"
