"""Where a live source is: a camera's URL, or a device of this machine. Pure; shows no password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mediaserver.client.errors import ClipError
from mediaserver.client.shown_url import shown_url

_RTSP, _HTTP = ("rtsp", "rtsps"), ("http", "https")
_TAKEN = (*_RTSP, *_HTTP)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_DEVICE = re.compile(r"/dev/(video\d+|v4l/.+)")
_OPTIONS = {"fflags": "nobuffer", "analyzeduration": "1000000"}
"""FFmpeg keeps packets back, and looks at a stream for 5 s, unless it is told."""


@dataclass(frozen=True, slots=True)
class LiveAddress:
    """What FFmpeg opens: ``target`` as ``format`` (``None``: it finds out) with ``options``."""

    shown: str
    """For people: user, password and query are left out, as any of these may be a secret."""
    target: str = field(repr=False)
    options: dict[str, str] = field(repr=False)
    format: str | None = None
    host: str | None = None
    """To be reached over the network; ``None`` for a device."""

    def __str__(self) -> str:
        return self.shown

    @property
    def name(self) -> str:
        """As `pathlib.Path.name` of a file: what a table is headed with."""
        return self.shown


def live_address(source: str | Path) -> LiveAddress | None:
    """What ``source`` names, if that is no file. Raises `ClipError` for a URL that is none, or of
    another kind."""
    text = str(source)
    if _DEVICE.fullmatch(text):
        return LiveAddress(text, text, _OPTIONS, format="v4l2")
    found = _URL.match(text)
    if found is None:
        return None
    scheme = found[1].lower()
    if scheme not in _TAKEN:
        raise ClipError(f"not a URL of a camera: {scheme}:// is none of {', '.join(_TAKEN)}")
    text = scheme + text[len(scheme) :]  # FFmpeg knows it in small letters alone
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None:
        raise ClipError(f"not a URL of a camera: {scheme}:// is followed by no host that can be read")
    # The protocols that the source itself may lead on to, as a playlist does: no files of this machine.
    if scheme in _RTSP:
        leads_to = {"protocol_whitelist": "rtsp,rtsps,rtp,srtp,tcp,tls,udp", "rtsp_flags": "prefer_tcp"}
    else:
        leads_to = {"protocol_whitelist": "http,https,tcp,tls,crypto,httpproxy"}
    return LiveAddress(shown_url(text), text, _OPTIONS | leads_to, host=host)
