from __future__ import annotations

import aioice.ice
import pytest

from mediaserver.webrtc.ice_gathering import gathered_addresses


def test_a_machine_without_a_network_has_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **families: [])
    assert gathered_addresses(()) == ["127.0.0.1"]
