"""URLs as people may see them: in messages and logs."""

from __future__ import annotations

from urllib.parse import urlsplit


def shown_url(url: str) -> str:
    """Without user, password, query and fragment, as any of these may be a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:  # of a host in brackets that is no IPv6 address
        return "the URL"
    _, mark, host = parts.netloc.rpartition("@")
    return parts._replace(
        netloc=f"***@{host}" if mark else host, query="***" if parts.query else "", fragment=""
    ).geturl()
