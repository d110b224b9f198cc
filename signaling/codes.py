"""Words of the protocol that programs compare: error codes, end reasons, states, causes, places of drops."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why the server rejected something. ``message`` beside it is for people."""

    BAD_MESSAGE = "bad_message"
    """The text is not JSON, or a field has a wrong type or value. ``message`` names the field."""
    UNKNOWN_TYPE = "unknown_type"
    """The server has no message of this ``type``."""
    TOO_LARGE = "too_large"
    """A text message or a JPEG frame is larger than its limit."""
    RATE_LIMITED = "rate_limited"
    """Messages, offers or JPEG frames come too fast."""
    UNSUPPORTED_VERSION = "unsupported_version"
    """The server does not support the ``protocol`` of ``hello``."""
    UNEXPECTED_MESSAGE = "unexpected_message"
    """The message is not allowed in this state of the conversation."""
    BAD_SDP = "bad_sdp"
    """The offer is not SDP, contradicts itself or exceeds a limit. ``message`` names the line."""
    NO_VIDEO = "no_video"
    """The offer has no video section that sends."""
    UNSUPPORTED_CODEC = "unsupported_codec"
    """The offer has neither VP8 nor H.264 in packetization mode 0 or 1."""
    OUT_OF_SOCKETS = "out_of_sockets"
    """The server has no UDP port or file descriptor left for media."""
    BAD_CANDIDATE = "bad_candidate"
    """The candidate cannot be parsed, or names no media section."""
    BAD_FRAME = "bad_frame"
    """The binary message is not a JPEG picture that the server decodes."""
    MODEL_UNAVAILABLE = "model_unavailable"
    """The server has no model for a stage that the client switched on or triggered. The stage stays off."""
    MODEL_FAILED = "model_failed"
    """A model failed on a frame. Its stage is null in that result."""
    UNAUTHORIZED = "unauthorized"
    """The token is missing, invalid, expired or used up. ``message`` says which."""


class EndReason(StrEnum):
    """Why a connection ended: in ``closing``, in one log line and in a metric."""

    BYE = "bye"
    """The client sent ``bye``."""
    CLIENT_GONE = "client_gone"
    """The client closed the socket, or the network did. There is no ``closing``."""
    PING_TIMEOUT = "ping_timeout"
    """The socket was silent for ``liveness_timeout_s``, or results were not read for 10 s."""
    MEDIA_TIMEOUT = "media_timeout"
    """Frames stopped, and their sender answered no connectivity check for ``liveness_timeout_s``."""
    PAUSE_TIMEOUT = "pause_timeout"
    """Frames stopped for ``pause_timeout_s``, though their sender answers."""
    DTLS_FAILED = "dtls_failed"
    """The DTLS handshake failed. Then the client went away, or sent nothing else in time."""
    HELLO_TIMEOUT = "hello_timeout"
    """``hello`` did not come within 5 s, or too many sockets were silent at once."""
    NO_MEDIA = "no_media"
    """No frame came in ``no_media_timeout_s`` after ``welcome`` or ``answer``; packets alone do not count."""
    PROTOCOL_ERROR = "protocol_error"
    """A fatal ``error`` came before, or too many errors, or data that is no WebSocket message."""
    UNAUTHORIZED = "unauthorized"
    """The error ``unauthorized`` came before."""
    REPLACED = "replaced"
    """Another connection took the session over with its resume token, or under the name of its stream."""
    SERVER_FULL = "server_full"
    """No place is left, or the server ran out of memory."""
    TOO_MANY_SESSIONS = "too_many_sessions"
    """The subject of the token has all the sessions, or all the watchers, that it may have."""
    MOVED = "moved"
    """The server ends. Another one behind the same address takes the client."""
    SERVER_SHUTDOWN = "server_shutdown"
    """The server ends, or takes no new sessions for a while."""
    INTERNAL_ERROR = "internal_error"
    """The server failed. Its log has the details."""


class Drop(StrEnum):
    """Where frames and results are dropped: the keys of ``result.dropped``, and a label of the metric."""

    SINK = "sink"
    """A newer frame replaced this one before inference."""
    RECEIVE = "receive"
    """The frame could not be assembled or decoded."""
    STALE = "stale"
    """The frame was too old for inference, or its result too old to be sent."""
    SEND = "send"
    """The path to the client was congested."""


class ServerState(StrEnum):
    """The ``state`` of an ``event`` ``state``."""

    READY = "ready"
    """Frames come and models run. A connection begins in this state."""
    DEGRADED = "degraded"
    """The server does not reach the program that runs its models. ``ready`` follows."""
    PAUSED = "paused"
    """No frames come, and their sender is there. ``ready`` or ``degraded`` follows with the next frame."""
    MEDIA_FAILED = "media_failed"
    """The peer connection is lost. Offer again with a new one, or send JPEG frames."""
    PUBLISHED = "published"
    """To watchers: the stream has a publisher, and results may come."""
    UNPUBLISHED = "unpublished"
    """To watchers: the stream has no publisher. ``published`` follows when there is one."""


class MediaFailureCause(StrEnum):
    """What failed in a peer connection."""

    ICE = "ice"
    """There was no path, or it was lost."""
    DTLS = "dtls"
    """There was a path, and the handshake over it failed."""


class ResultChannel(StrEnum):
    """Where the results of a session go."""

    DATACHANNEL = "datachannel"
    """The data channel ``results`` that the client opens. Until it is open: the WebSocket."""
    WEBSOCKET = "websocket"
    """The WebSocket, always."""
