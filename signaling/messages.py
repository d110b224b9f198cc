"""Every message on ``/ws/inference``, as typed structs. JSON text frames; ``type`` names the message.

Unknown fields are ignored, so either side may be newer. Unknown types and bad values raise
`ProtocolError` with words for the other side. ``docs/protocol.md`` is generated from this file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from signaling.findings import WireDetection, WireMotion, WirePose, WireSegment, WireText

PROTOCOL_VERSION = 1
MAX_TEXT_BYTES = 64 * 1024
MAX_JPEG_BYTES = 512 * 1024
MAX_TOKEN_BYTES = 4 * 1024

Score: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Sdp: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_BYTES)]
Token: TypeAlias = Annotated[str, Meta(max_length=MAX_TOKEN_BYTES)]
Framerate: TypeAlias = Annotated[float, Meta(gt=0.0)]


class ErrorCode(StrEnum):
    """Why something was refused. Machine-readable; ``message`` beside it is for people."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    UNSUPPORTED_VERSION = "unsupported_version"
    UNEXPECTED_MESSAGE = "unexpected_message"
    BAD_SDP = "bad_sdp"
    NO_VIDEO = "no_video"
    UNSUPPORTED_CODEC = "unsupported_codec"
    BAD_CANDIDATE = "bad_candidate"
    BAD_FRAME = "bad_frame"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_FAILED = "model_failed"
    UNAUTHORIZED = "unauthorized"


class EndReason(StrEnum):
    """Why a connection ended: on the wire in ``closing``, in the log line and in a metric."""

    BYE = "bye"
    CLIENT_GONE = "client_gone"
    PING_TIMEOUT = "ping_timeout"
    MEDIA_TIMEOUT = "media_timeout"
    HELLO_TIMEOUT = "hello_timeout"
    NO_MEDIA = "no_media"
    PROTOCOL_ERROR = "protocol_error"
    UNAUTHORIZED = "unauthorized"
    REPLACED = "replaced"
    SERVER_FULL = "server_full"
    TOO_MANY_SESSIONS = "too_many_sessions"
    """Of this token's subject."""
    SERVER_SHUTDOWN = "server_shutdown"
    INTERNAL_ERROR = "internal_error"


class Drop(StrEnum):
    """Where frames and results get lost: the keys of ``result.dropped``, and a label of the metric."""

    SINK = "sink"
    """A newer frame came before inference."""
    RECEIVE = "receive"
    """A frame could not be assembled or decoded."""
    STALE = "stale"
    """The frame was too old for inference, or its result too old to be sent."""
    SEND = "send"
    """The way to the client was congested."""


class ServerState(StrEnum):
    """What the ``event`` ``state`` tells."""

    READY = "ready"
    DEGRADED = "degraded"
    """What runs the models is out of reach; ``ready`` follows when it is back."""
    MEDIA_FAILED = "media_failed"
    """The peer connection is lost for good."""


class ResultChannel(StrEnum):
    """Where a client wants its results."""

    DATACHANNEL = "datachannel"
    """An RTCDataChannel named ``results`` that the client opens; the WebSocket until it is open."""
    WEBSOCKET = "websocket"


class ProtocolError(Exception):
    """The other side broke the protocol. ``fatal`` says that the connection ends."""

    def __init__(self, code: ErrorCode, message: str, *, fatal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fatal = fatal


# --- client → server -------------------------------------------------------------------------------


class PipelineConfig(Struct, omit_defaults=True):
    """What to run. Every field may be left out: in ``hello`` that means the server's default, in
    ``configure`` it means unchanged."""

    detect: bool | UnsetType = UNSET
    pose: bool | UnsetType = UNSET
    segment: bool | UnsetType = UNSET
    ocr: bool | UnsetType = UNSET
    flow: bool | UnsetType = UNSET
    detect_threshold: Score | UnsetType = UNSET
    pose_threshold: Score | UnsetType = UNSET
    segment_threshold: Score | UnsetType = UNSET
    ocr_labels: Annotated[list[Label], Meta(max_length=16)] | UnsetType = UNSET
    """OCR runs when one of these detector labels appears."""
    ocr_on_settle: bool | UnsetType = UNSET
    """OCR runs when motion in the picture settles."""
    ocr_min_interval_s: Annotated[float, Meta(ge=0.2, le=3600.0)] | UnsetType = UNSET


class Hello(Struct, tag="hello", tag_field="type", omit_defaults=True):
    """First message on a new socket; answered by ``welcome``."""

    protocol: int = PROTOCOL_VERSION
    token: Token | None = None
    channel: ResultChannel = ResultChannel.DATACHANNEL
    pipeline: PipelineConfig = msgspec.field(default_factory=PipelineConfig)
    resume: Token | None = None
    """``resume_token`` of an earlier ``welcome``: go on with that session."""


class Offer(Struct, tag="offer", tag_field="type", omit_defaults=True):
    """An SDP offer (RFC 8829). A later offer replaces the peer connection of the earlier one."""

    sdp: Sdp
    camera_framerate: Framerate | None = None
    """Frames a second that the camera gives, where that is known: no ``rate`` hint asks for more."""


class IceCandidate(Struct, rename={"sdp_mid": "sdpMid", "sdp_m_line_index": "sdpMLineIndex"}):
    """``RTCIceCandidateInit`` of W3C WebRTC."""

    candidate: Annotated[str, Meta(max_length=1024)]
    sdp_mid: Annotated[str, Meta(max_length=64)] | None = None
    sdp_m_line_index: Annotated[int, Meta(ge=0, le=64)] | None = None


class Candidate(Struct, tag="candidate", tag_field="type"):
    """A trickled ICE candidate (RFC 8838); null ends the candidates."""

    candidate: IceCandidate | None


class Configure(Struct, tag="configure", tag_field="type"):
    """Changes the pipeline at any time, without renegotiation."""

    pipeline: PipelineConfig


class Trigger(Struct, tag="trigger", tag_field="type"):
    """Run OCR on the newest frame now."""

    model: Literal["ocr"] = "ocr"


class Ping(Struct, tag="ping", tag_field="type"):
    """Answered at once by ``pong`` with the same ``id``."""

    id: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Report(Struct, tag="report", tag_field="type", omit_defaults=True):
    """What the user sees: shown in the server's metrics."""

    render_fps: Annotated[float, Meta(ge=0, le=1000)] | None = None
    result_age_ms: Annotated[float, Meta(ge=0, le=600_000)] | None = None


class Bye(Struct, tag="bye", tag_field="type"):
    """The client is done; the session ends and cannot be resumed."""


ClientMessage: TypeAlias = Hello | Offer | Candidate | Configure | Trigger | Ping | Report | Bye

# --- server → client -------------------------------------------------------------------------------


class IceServer(Struct, omit_defaults=True):
    """``RTCIceServer`` of W3C WebRTC."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class Limits(Struct):
    """Bounds that the server holds the client to."""

    max_text_bytes: int
    max_jpeg_bytes: int
    liveness_timeout_s: float
    resume_window_s: float


class Model(Struct):
    """A model that this server runs; ``labels`` are the classes that it can find."""

    name: str
    labels: list[str]


class Welcome(Struct, tag="welcome", tag_field="type"):
    """Answers ``hello``. ``models`` is keyed by ``detect``, ``pose``, ``segment``, ``ocr``, ``flow``: what
    is absent cannot be switched on."""

    protocol: int
    session: str
    resume_token: str
    resumed: bool
    ice_servers: list[IceServer]
    limits: Limits
    models: dict[str, Model]


class Answer(Struct, tag="answer", tag_field="type"):
    """The SDP answer; it carries all of the server's candidates."""

    sdp: str


class FrameInfo(Struct):
    """Names the frame that a result belongs to. Size in pixels as it was sent.

    ``rtp_timestamp`` (90 kHz, 32 bits, as on the wire) is null for frames sent as JPEG. ``pts_ms`` counts
    from the session's first frame. ``capture_time_ms`` is Unix time in the sender's clock; null until
    the first RTCP sender report.
    """

    rtp_timestamp: int | None
    pts_ms: float
    capture_time_ms: float | None
    width: int
    height: int


class Result(Struct, tag="result", tag_field="type"):
    """What was found in one frame. A stage that did not run is null, not an empty list.

    ``timing_ms`` is milliseconds by stage: ``wait`` (arrival to inference start), ``prepare``, ``detect``,
    ``pose``, ``segment``, ``flow``, ``total`` (arrival to result). ``dropped`` counts since the session
    began.
    """

    seq: int
    frame: FrameInfo
    detections: list[WireDetection] | None
    poses: list[WirePose] | None
    texts: list[WireText] | None
    motion: WireMotion | None
    timing_ms: dict[str, float]
    dropped: dict[str, int]
    segments: list[WireSegment] | None = None


class OcrEvent(Struct, tag="ocr", tag_field="event"):
    """OCR ended on ``frame`` with ``texts``. Always on the WebSocket, as it must not be lost."""

    frame: FrameInfo
    texts: list[WireText]
    type: Literal["event"] = "event"


class StateEvent(Struct, tag="state", tag_field="event"):
    """How the server does has changed. Always on the WebSocket, as it must not be lost."""

    state: ServerState
    type: Literal["event"] = "event"


Event: TypeAlias = OcrEvent | StateEvent


class Rate(Struct, tag="rate", tag_field="type"):
    """Send at most this much: more would only be dropped."""

    max_framerate: float
    max_bitrate: int
    scale_resolution_down_by: float


class Pong(Struct, tag="pong", tag_field="type"):
    """Answers ``ping``; ``server_time_ms`` is Unix time in the server's clock."""

    id: int
    server_time_ms: float


class Error(Struct, tag="error", tag_field="type"):
    """Something was refused; after a ``fatal`` one comes ``closing``."""

    code: ErrorCode
    message: str
    fatal: bool


class Closing(Struct, tag="closing", tag_field="type"):
    """The last message of the server. ``retry_after_s`` is null where trying again cannot help."""

    reason: EndReason
    retry_after_s: float | None


ServerMessage: TypeAlias = Welcome | Answer | Candidate | Result | Event | Rate | Pong | Error | Closing

# --- codec -----------------------------------------------------------------------------------------


class _AnyEvent(Struct, tag="event", tag_field="type"):
    """Events have one ``type`` and are told apart by ``event``."""


_BY_TYPE = Welcome | Answer | Candidate | Result | _AnyEvent | Rate | Pong | Error | Closing

_encode = msgspec.json.Encoder().encode
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_BY_TYPE)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: ClientMessage | ServerMessage) -> str:
    """JSON text of any message."""
    return _encode(message).decode()


def decode_client(text: str | bytes) -> ClientMessage:
    """Parses what a client sent; raises `ProtocolError` with a message fit to send back."""
    try:
        return _client_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _refused(exc) from exc


def decode_server(text: str | bytes) -> ServerMessage:
    """Parses what a server sent; raises `ProtocolError`."""
    try:
        message: ServerMessage | _AnyEvent = _server_decoder.decode(text)
        return _event_decoder.decode(text) if isinstance(message, _AnyEvent) else message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _refused(exc) from exc


def _refused(exc: Exception) -> ProtocolError:
    words = str(exc)
    unknown_type = words.startswith("Invalid value") and words.endswith("- at `$.type`")
    code = ErrorCode.UNKNOWN_TYPE if unknown_type else ErrorCode.BAD_MESSAGE
    return ProtocolError(code, words[:200] or type(exc).__name__)
