"""Which local addresses aiortc gathers candidates on. It has no setting for that: this is the one seam."""

from __future__ import annotations

import inspect
from typing import Any

import aioice
from aiortc import RTCIceTransport

from mediaserver.receiver import SeamMoved

_CONNECTION = "_connection"
_GATHER = "get_component_candidates"


def gather_only(transport: RTCIceTransport, addresses: list[str]) -> None:
    """Has ``transport`` gather host candidates on ``addresses`` and no others; before it gathers.

    aioice gathers on every address but loopback, and passes its list to a method that is replaced here.
    Raises `mediaserver.receiver.SeamMoved` if aiortc or aioice is not the one this was written for.
    """
    connection = getattr(transport.iceGatherer, _CONNECTION, None)
    if not isinstance(connection, aioice.Connection):
        raise SeamMoved(f"aiortc's RTCIceGatherer no longer has an aioice.Connection as {_CONNECTION}")
    gather = getattr(connection, _GATHER, None)
    if gather is None or list(inspect.signature(gather).parameters) != ["component", "addresses", "timeout"]:
        raise SeamMoved(f"aioice's Connection no longer has {_GATHER}(component, addresses, timeout)")

    def gather_listed(**arguments: Any) -> Any:
        return gather(**{**arguments, "addresses": addresses})

    setattr(connection, _GATHER, gather_listed)
