from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from lambdas.errors import ServerFailed
from lambdas.media_server import DRAIN_FOR_S, MediaServer, Probe, ServerUnreachable
from lambdas.tokens import Audience, mint
from tests.lambdas.world import KEYS, World


@pytest.fixture
def server(world: World) -> MediaServer:
    world.run()
    return MediaServer(world.server.url)


def control_token(world: World) -> str:
    return mint(KEYS, Audience.CONTROL, "test", world.now, world.settings.token_life)


class TestProbe:
    def test_ready(self, server: MediaServer) -> None:
        assert server.probe() is Probe.READY

    @pytest.mark.parametrize("word", ["loading", "a word of a later version"])
    def test_unready_is_loading(self, server: MediaServer, world: World, word: str) -> None:
        world.server.loaded, world.server.unready = False, word
        assert server.probe() is Probe.LOADING

    def test_failed(self, server: MediaServer, world: World) -> None:
        world.server.loaded, world.server.unready = False, "failed"
        assert server.probe() is Probe.FAILED

    def test_draining(self, server: MediaServer, world: World) -> None:
        server.drain(control_token(world), if_idle=True)
        assert server.probe() is Probe.DRAINING

    def test_silent_when_the_connection_is_cut(self, server: MediaServer, world: World) -> None:
        world.server.reachable = False
        assert server.probe() is Probe.SILENT

    def test_silent_when_nobody_listens(self) -> None:
        assert MediaServer("http://127.0.0.1:9").probe() is Probe.SILENT


class TestDrain:
    def test_an_idle_server_drains_for_a_while(self, server: MediaServer, world: World) -> None:
        assert server.drain(control_token(world), if_idle=True) == 0
        assert world.server.drained_until is not None
        assert (world.server.drained_until - world.now).total_seconds() == DRAIN_FOR_S

    def test_a_busy_server_does_not(self, server: MediaServer, world: World) -> None:
        world.server.sessions = 2
        assert server.drain(control_token(world), if_idle=True) == 2
        assert not world.server.draining

    def test_a_busy_server_does_when_it_must(self, server: MediaServer, world: World) -> None:
        world.server.sessions = 2
        assert server.drain(control_token(world), if_idle=False) == 2
        assert world.server.draining

    def test_a_refusal_is_not_an_idle_server(self, server: MediaServer) -> None:
        with pytest.raises(ServerFailed, match="401"):
            server.drain("no token", if_idle=True)

    def test_nobody_there(self) -> None:
        with pytest.raises(ServerUnreachable):
            MediaServer("http://127.0.0.1:9").drain("any", if_idle=True)


@pytest.fixture
def odd_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Answers every request with the status and body that the test names."""
    status, body = request.param

    class Odd(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Odd) as http:
        thread = Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "odd_server",
    [(502, b"<html>"), (504, b""), (503, b'{"error": "unavailable"}'), (503, b'{"error": "full"}')],
    indirect=True,
)
def test_a_proxy_without_a_server_behind_it_is_silence(odd_server: str) -> None:
    assert MediaServer(odd_server).probe() is Probe.SILENT
    with pytest.raises(ServerUnreachable):
        MediaServer(odd_server).drain("any", if_idle=True)


@pytest.mark.parametrize("odd_server", [(200, b"[]"), (200, b"\xff"), (404, b"{}")], indirect=True)
def test_an_answer_that_is_no_count_is_not_zero(odd_server: str) -> None:
    with pytest.raises(ServerFailed):
        MediaServer(odd_server).drain("any", if_idle=True)
