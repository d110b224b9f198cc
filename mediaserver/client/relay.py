"""The Python client's way through TURN: its ICE configuration, and words for a relay that it did not get."""

from __future__ import annotations

import asyncio

from aioice.stun import TransactionError, TransactionFailed
from aioice.turn import create_turn_endpoint
from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy
from aiortc.rtcicetransport import connection_kwargs

from mediaserver.client.errors import ClientError, Refused, Unreachable
from signaling.messages import IceServer

_TURN_TIMEOUT_S = 3.0


def ice_configuration(servers: list[IceServer], *, relay_only: bool) -> RTCConfiguration:
    """What aiortc needs to use ``servers``, of which it takes one STUN and one TURN server.

    Raises `Refused` for a server that aiortc cannot use, and where ``relay_only`` has nothing to relay.
    """
    # Also where there are none: without a list aiortc asks a public STUN server.
    usable = [RTCIceServer(server.urls, server.username, server.credential) for server in servers]
    try:
        chosen = connection_kwargs(usable)
    except ValueError as exc:
        raise Refused(f"the server names a STUN or TURN server that this client cannot use: {exc}") from exc
    if relay_only and "turn_server" not in chosen:
        raise Refused("the server names no TURN server, and relay-only needs one")
    policy = RTCIceTransportPolicy.RELAY if relay_only else RTCIceTransportPolicy.ALL
    return RTCConfiguration(iceServers=usable, iceTransportPolicy=policy)


async def relay_failure(configuration: RTCConfiguration) -> ClientError:
    """Why the TURN server gave no relay. aioice keeps the reason to itself, so the server is asked again."""
    chosen = connection_kwargs(configuration.iceServers or [])
    host, port = chosen["turn_server"]
    try:
        async with asyncio.timeout(_TURN_TIMEOUT_S):
            transport, _ = await create_turn_endpoint(
                asyncio.DatagramProtocol,
                server_addr=(host, port),
                username=chosen["turn_username"],
                password=chosen["turn_password"],
                ssl=chosen["turn_ssl"],
                transport=chosen["turn_transport"],
            )
    except TransactionFailed as exc:
        return Refused(f"the TURN server {host}:{port} does not relay; wrong or expired credentials? ({exc})")
    except (TransactionError, TimeoutError, OSError) as exc:
        return Unreachable(f"the TURN server {host}:{port} does not answer ({str(exc) or 'timed out'})")
    transport.close()
    return Unreachable(f"the TURN server {host}:{port} answered too late")
