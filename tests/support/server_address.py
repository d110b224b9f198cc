"""What follows from the address of a server."""

from __future__ import annotations


class ServerAddress:
    """For classes that have ``http_url``, as ``http://127.0.0.1:8080/``."""

    __slots__ = ()
    http_url: str

    @property
    def socket_url(self) -> str:
        return self.http_url.replace("http", "ws", 1) + "ws/inference"

    @property
    def port(self) -> int:
        return int(self.http_url.rstrip("/").rpartition(":")[2])
