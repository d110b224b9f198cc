from __future__ import annotations

from pathlib import Path

from tests.support.live_server import live_server, raw_socket


async def test_a_client_that_errs_without_end_is_sent_away(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str('{"type":"hello"}')
        assert (await socket.receive_json(timeout=5))["type"] == "welcome"
        for _ in range(60):
            await socket.send_str("rubbish")
        answers = [await socket.receive_json(timeout=5)]
        while answers[-1]["type"] == "error":
            answers.append(await socket.receive_json(timeout=5))
    assert (answers[-1]["type"], answers[-1]["reason"]) == ("closing", "protocol_error")
    assert 20 <= len(answers) <= 40
