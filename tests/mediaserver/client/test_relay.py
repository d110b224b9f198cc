from __future__ import annotations

import pytest
from aiortc import RTCIceTransportPolicy

from mediaserver.client.errors import Refused
from mediaserver.client.relay import ice_configuration
from signaling.messages import IceServer

TURN = IceServer(["turn:turn.example.org"], "1700003600:abc", "password")


def test_without_servers_nobody_is_asked() -> None:
    # None would have aiortc ask a public STUN server.
    assert ice_configuration([], relay_only=False).iceServers == []


def test_credentials_and_policy_are_passed_on() -> None:
    configuration = ice_configuration([TURN], relay_only=True)
    assert configuration.iceTransportPolicy is RTCIceTransportPolicy.RELAY
    [server] = configuration.iceServers or []
    assert (server.urls, server.username, server.credential) == (TURN.urls, TURN.username, TURN.credential)


def test_relay_only_without_a_turn_server_is_refused() -> None:
    with pytest.raises(Refused, match="no TURN server"):
        ice_configuration([IceServer(["stun:stun.example.org"])], relay_only=True)


def test_a_url_that_aiortc_cannot_read_is_refused() -> None:
    with pytest.raises(Refused, match="cannot use"):
        ice_configuration([IceServer(["turn:[2001:db8::1]"], "user", "password")], relay_only=False)
