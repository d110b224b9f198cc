"""Translates Triton's refusals, over gRPC and HTTP, to errors of the engine contract."""

from __future__ import annotations

from enum import StrEnum

from inference.engines.contract import (
    DeadlineMissed,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    ModelFailed,
    ModelNotLoaded,
)

_MAX_WORDS = 200


class Refusal(StrEnum):
    """gRPC status codes. Triton's HTTP service maps them to HTTP status codes."""

    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    UNAVAILABLE = "UNAVAILABLE"
    CANCELLED = "CANCELLED"
    OTHER = "OTHER"

    @classmethod
    def of_http(cls, status: int) -> Refusal:
        """Returns the refusal for an HTTP ``status`` of Triton."""
        return {404: cls.NOT_FOUND, 499: cls.CANCELLED, 503: cls.UNAVAILABLE}.get(status, cls.OTHER)

    @classmethod
    def of_grpc(cls, status: str | None) -> Refusal:
        """Returns the refusal for a status that tritonclient writes as ``StatusCode.NAME``."""
        name = str(status).removeprefix("StatusCode.")
        return cls(name) if name in set(cls) else cls.OTHER


def engine_error(refusal: Refusal, message: object) -> EngineError:
    """Returns the error for a request that Triton refused with ``message``."""
    words = str(message)[:_MAX_WORDS]
    match refusal:
        case Refusal.DEADLINE_EXCEEDED:
            return DeadlineMissed(words)
        case Refusal.NOT_FOUND:
            return ModelNotLoaded(words)
        # UNAVAILABLE also covers Triton's own refusals, which only the message tells apart.
        case Refusal.UNAVAILABLE if "maximum queue size" in words:
            return EngineOverloaded(words)
        case Refusal.UNAVAILABLE if "timeout expired" in words.lower():
            return DeadlineMissed(words)
        case Refusal.UNAVAILABLE | Refusal.CANCELLED:
            return EngineUnavailable(words)
        case Refusal.OTHER:
            return ModelFailed(words)
