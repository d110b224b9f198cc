"""DTLS transports: the handshake, and the RTP and RTCP that they carry."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiortc import RTCDtlsTransport
from aiortc.rtcdtlstransport import State
from OpenSSL import SSL

from mediaserver.webrtc.aiortc_seam.names import PARSE_ERRORS, Refuse, attribute
from mediaserver.webrtc.datagram_guard import ArrivalClock

_HANDLE_RTP = "_handle_rtp_data"
_HANDLE_RTCP = "_handle_rtcp_data"
_SSL = "_ssl"
_SET_STATE = "_set_state"
_LOCAL_CERTIFICATE = "_RTCDtlsTransport__local_certificate"
_CREATE_SSL_CONTEXT = "_create_ssl_context"


def use_cipher_suites(transport: RTCDtlsTransport, suites: str) -> None:
    """Sets the cipher suites of ``transport``, in OpenSSL's syntax. Raises `SeamMoved`."""
    certificate = attribute(transport, _LOCAL_CERTIFICATE)
    create = attribute(certificate, _CREATE_SSL_CONTEXT)

    def create_ssl_context(srtp_profiles: Any) -> SSL.Context:
        context: SSL.Context = create(srtp_profiles)
        context.set_cipher_list(suites.encode())
        return context

    setattr(certificate, _CREATE_SSL_CONTEXT, create_ssl_context)


def watch_handshake(transport: RTCDtlsTransport, failed: Callable[[str], None]) -> None:
    """Calls ``failed`` with a message if a handshake fails, unless the path is lost. Raises `SeamMoved`.

    aiortc by itself drops OpenSSL's errors.
    """
    set_state = attribute(transport, _SET_STATE)
    errors: list[str] = []

    def set_state_told(state: State) -> None:
        if state is State.CONNECTING:
            _note_errors(attribute(transport, _SSL), errors)
        elif state is State.FAILED and (errors or not isinstance(sys.exception(), ConnectionError)):
            failed(
                ", ".join(errors) or "the certificate is not that of the fingerprint, or no SRTP profile fits"
            )
        set_state(state)

    setattr(transport, _SET_STATE, set_state_told)


def _note_errors(ssl: SSL.Connection, errors: list[str]) -> None:
    """Records errors of ``ssl``. aiortc takes any error for a lack of data."""
    receive = ssl.recv

    def receive_noted(size: int) -> bytes:
        try:
            return receive(size)
        except SSL.Error as exc:
            errors.extend(reason for error in exc.args[:1] for *_, reason in error)
            raise

    setattr(ssl, "recv", receive_noted)  # noqa: B010 - a method, as mypy sees it


def guard_sources(
    transport: RTCDtlsTransport,
    arrived_ms: Callable[[int], int],
    admits: Callable[[int], bool],
    refuse: Refuse,
) -> None:
    """Passes only authentic RTP and RTCP packets whose SSRC ``admits`` accepts to aiortc's parser.

    ``arrived_ms`` gives the arrival time, as
    `mediaserver.webrtc.aiortc_seam.arrival.KernelArrivals.of_handled`. aiortc keeps state for each SSRC
    without a limit. ``refuse`` is called for packets that make aiortc raise. Otherwise aiortc would log a
    traceback, and end the transport silently. Raises `SeamMoved`.
    """
    handle_rtp, clock = attribute(transport, _HANDLE_RTP), ArrivalClock()

    async def handle_rtp_in_time(data: bytes, arrival_time_ms: int) -> None:
        await handle_rtp(data, clock.without_pauses(arrived_ms(arrival_time_ms)))

    # RFC 3550 sections 5.1 and 6.4.1
    setattr(transport, _HANDLE_RTP, _by_source(handle_rtp_in_time, 8, admits, refuse))
    setattr(transport, _HANDLE_RTCP, _by_source(attribute(transport, _HANDLE_RTCP), 4, admits, refuse))


def _by_source(
    handle: Callable[..., Awaitable[None]], offset: int, admits: Callable[[int], bool], refuse: Refuse
) -> Callable[..., Awaitable[None]]:
    async def handle_admitted(data: bytes, *arguments: Any, **named: Any) -> None:
        if len(data) >= offset + 4 and admits(int.from_bytes(data[offset : offset + 4])):
            try:
                await handle(data, *arguments, **named)
            except PARSE_ERRORS as exc:
                refuse(f"RTP or RTCP that cannot be parsed: {exc}")

    return handle_admitted
