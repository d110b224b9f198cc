"""Clients whose DTLS is not that of a browser: certificates and cipher suites of all kinds."""

from __future__ import annotations

import datetime
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcdtlstransport import RTCCertificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL


def rsa_certificate() -> RTCCertificate:
    """As GStreamer makes them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sender")])
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return RTCCertificate(key=key, cert=certificate)  # type: ignore[arg-type]


def dtls_client(
    *, certificate: RTCCertificate | None = None, ciphers: bytes | None = None
) -> RTCPeerConnection:
    """Sends video, and has a data channel. ``ciphers`` is a list of OpenSSL's."""
    client: Any = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    if certificate is not None:
        client._RTCPeerConnection__certificates[0] = certificate
    if ciphers is not None:
        mine = client._RTCPeerConnection__certificates[0]
        create = mine._create_ssl_context

        def create_ssl_context(srtp_profiles: Any) -> SSL.Context:
            context: SSL.Context = create(srtp_profiles)
            context.set_cipher_list(ciphers)
            return context

        mine._create_ssl_context = create_ssl_context
    client.addTransceiver("video", direction="sendonly")
    client.createDataChannel("results")
    return client  # type: ignore[no-any-return]
