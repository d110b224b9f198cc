from __future__ import annotations

import pytest

from mediaserver.session.shortage import Shortage
from mediaserver.telemetry.metrics import Metrics


def test_it_lasts_for_a_while_and_is_counted_each_time_but_logged_seldom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics, now = Metrics(), 100.0
    shortage = Shortage(metrics, lambda: now)
    assert shortage.words is None
    for _ in range(5):
        shortage.note("UDP ports")
    assert shortage.words == "UDP ports"
    assert metrics.registry.get_sample_value("mediaserver_socket_failures_total") == 5
    assert [record.getMessage() for record in caplog.records] == ["out of sockets: UDP ports"]
    now += 11
    assert shortage.words is None
