"""The transports of a peer connection."""

from __future__ import annotations

from aiortc import (
    RTCDtlsTransport,
    RTCIceTransport,
    RTCPeerConnection,
)


def dtls_transports(connection: RTCPeerConnection) -> set[RTCDtlsTransport]:
    """Returns the DTLS transports of ``connection``.

    It is one with BUNDLE (RFC 9143), else one for each media section and data channel.
    """
    found = {transceiver.receiver.transport for transceiver in connection.getTransceivers()}
    return found if connection.sctp is None else found | {connection.sctp.transport}


def ice_transports(connection: RTCPeerConnection) -> set[RTCIceTransport]:
    """Returns the ICE transports of ``connection``, one for each of its `dtls_transports`."""
    return {dtls.transport for dtls in dtls_transports(connection)}
