"""Every message on ``/ws/inference``, as typed structs. JSON text frames; ``type`` names the message.

Unknown fields are ignored, so either side may be newer. Unknown types and bad values raise `ProtocolError`,
whose words are for the other side. ``docs/protocol.md`` is generated from the docstrings in this package.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from signaling.codes import Drop as Drop
from signaling.codes import EndReason as EndReason
from signaling.codes import ErrorCode as ErrorCode
from signaling.codes import MediaFailureCause as MediaFailureCause
from signaling.codes import ResultChannel as ResultChannel
from signaling.codes import ServerState as ServerState
from signaling.findings import FrameInfo, WireDetection, WireMotion, WirePose, WireSegment, WireText
from signaling.pipeline_config import Model, PipelineConfig, StageName

PROTOCOL_VERSION = 1
MAX_TEXT_BYTES = 64 * 1024
MAX_JPEG_BYTES = 512 * 1024
MAX_TOKEN_BYTES = 4 * 1024

Sdp: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_BYTES)]
EXPECTED_HEADER = "X-Mediaserver-Expected-S"
"""Of a 503: seconds until a server with free places is there."""
Token: TypeAlias = Annotated[str, Meta(max_length=MAX_TOKEN_BYTES)]
Framerate: TypeAlias = Annotated[float, Meta(gt=0.0)]
STREAM_NAME = r"^[A-Za-z0-9._~-]{1,64}$"
StreamName: TypeAlias = Annotated[str, Meta(pattern=STREAM_NAME)]
"""One segment of a path (RFC 3986, 2.3): streams are published by URL. Ids of sessions are names, too."""


class ProtocolError(Exception):
    """The other side broke the protocol. ``fatal``: the connection ends."""

    def __init__(self, code: ErrorCode, message: str, *, fatal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fatal = fatal


# --- client → server -------------------------------------------------------------------------------


class Hello(Struct, tag="hello", tag_field="type", omit_defaults=True):
    """The first message on a socket, within 5 s. ``welcome`` answers it, or ``watching`` if it has ``watch``.
    If the server does not admit the client, a fatal ``error`` or ``closing`` comes instead."""

    protocol: int = PROTOCOL_VERSION
    """The version of the protocol that the client speaks."""
    token: Token | None = None
    """The session token, if the server has keys. It has ASCII characters only."""
    channel: ResultChannel = ResultChannel.DATACHANNEL
    """Where results go. A resumed session does not keep it: send it again."""
    pipeline: PipelineConfig = msgspec.field(default_factory=PipelineConfig)
    """What to run. Fields that are absent have the server's default, or in a resumed session stay as they
    were."""
    resume: Token | None = None
    """``resume_token`` of an earlier ``welcome``: goes on with that session."""
    watch: StreamName | None = None
    """Name of a stream, or id of a session: send its results. Of the other fields only ``protocol`` and
    ``token`` are read."""
    every_frame: bool = False
    """Recorded media in lock-step: each JPEG frame is inferred, and the next one follows its result."""
    keep_media: bool = False
    """With ``resume``: the client still has its peer connection, and wants to go on with it."""
    last_event_id: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """With ``resume``: the ``id`` of the newest event that the client has, 0 for none. Later events are sent
    again, the last 16 at most."""
    seq_floor: Annotated[int, Meta(ge=0, le=2**52)] = 0
    """A new session numbers its results above this. A client that had a session elsewhere then sees no number
    twice."""


class Offer(Struct, tag="offer", tag_field="type", omit_defaults=True):
    """An SDP offer (RFC 8829). ``answer`` or ``error`` answers it. It replaces the peer connection of an
    earlier offer."""

    sdp: Sdp
    """The offer. The whole message has to fit into ``limits.max_text_bytes``."""
    camera_framerate: Framerate | None = None
    """Frames per second of the camera, if known. No ``rate`` hint exceeds it."""


class IceCandidate(Struct, rename={"sdp_mid": "sdpMid", "sdp_m_line_index": "sdpMLineIndex"}):
    """``RTCIceCandidateInit`` of W3C WebRTC. ``sdpMid`` or ``sdpMLineIndex`` must be there. If both are,
    ``sdpMid`` counts."""

    candidate: Annotated[str, Meta(max_length=1024)]
    """A line as in SDP, with or without ``candidate:`` in front. Empty: no more come."""
    sdp_mid: Annotated[str, Meta(max_length=64)] | None = None
    """The ``a=mid`` of its media section."""
    sdp_m_line_index: Annotated[int, Meta(ge=0, le=64)] | None = None
    """The place of its media section in the offer, from 0."""


class Candidate(Struct, tag="candidate", tag_field="type"):
    """A trickled ICE candidate (RFC 8838). Only the client sends it, after its ``offer``."""

    candidate: IceCandidate | None
    """Null: no more candidates come."""


class Configure(Struct, tag="configure", tag_field="type"):
    """Changes the pipeline from the next frame on. No answer comes, except for an ``error``."""

    pipeline: PipelineConfig
    """What changes. Fields that are absent stay as they are."""


class Trigger(Struct, tag="trigger", tag_field="type"):
    """Runs OCR on the next frame, also while ``ocr`` is off. An ``event`` ``ocr`` has the texts.
    A server without a model for OCR answers ``model_unavailable``."""

    model: Literal["ocr"] = "ocr"
    """What to run."""


class Ping(Struct, tag="ping", tag_field="type", omit_defaults=True):
    """``pong`` answers it. Messages are handled in order: behind a JPEG frame, ``pong`` confirms the frame's
    arrival."""

    id: Annotated[int, Meta(ge=0, le=2**53)] = 0
    """``pong`` repeats it."""
    clock_offset_ms: Annotated[float, Meta(ge=-(10**14), le=10**14)] | None = None
    """The server's clock less the client's, in milliseconds, estimated from earlier pongs (RFC 5905, 8). With
    it the age of a frame counts from its capture. Null: the offset before stays."""


class Report(Struct, tag="report", tag_field="type", omit_defaults=True):
    """What the user sees, for the server's metrics. No answer comes."""

    render_fps: Annotated[float, Meta(ge=0, le=1000)] | None = None
    """Pictures per second that the client draws."""
    result_age_ms: Annotated[float, Meta(ge=0, le=600_000)] | None = None
    """Milliseconds from a frame's capture to the moment when its result is drawn."""


class Bye(Struct, tag="bye", tag_field="type"):
    """Ends the session. It cannot be resumed. ``closing`` answers it."""


ClientMessage: TypeAlias = Hello | Offer | Candidate | Configure | Trigger | Ping | Report | Bye

# --- server → client -------------------------------------------------------------------------------


class IceServer(Struct, omit_defaults=True):
    """``RTCIceServer`` of W3C WebRTC. The credentials expire, after 1 h by default."""

    urls: list[str]
    """``stun:``, ``turn:`` and ``turns:`` URLs."""
    username: str | None = None
    """Absent for STUN."""
    credential: str | None = None
    """The password. Absent for STUN."""


class Limits(Struct):
    """Limits that the server enforces. Sizes in bytes, times in seconds."""

    max_text_bytes: int
    """Of a text message, as UTF-8. A larger one is fatal."""
    max_jpeg_bytes: int
    """Of a binary message. A larger one is dropped with ``too_large``."""
    liveness_timeout_s: float
    """Silence that ends a connection: of the socket, or of the sender after its first media."""
    resume_window_s: float
    """How long a session waits for its client."""
    max_jpeg_frames_per_s: float = 100.0
    """JPEG frames per second; 2 s of them at once."""
    max_jpeg_bytes_per_s: float = 16.0 * MAX_JPEG_BYTES
    """Bytes of JPEG frames per second; 2 s of them at once."""
    no_media_timeout_s: float = 30.0
    """How long the first decoded or JPEG frame may take, after ``welcome`` and after each ``answer``."""
    pause_timeout_s: float = 600.0
    """How long frames may stop while their sender answers."""


class Welcome(Struct, tag="welcome", tag_field="type"):
    """Answers ``hello``: the client has a session. Frames may come from now on."""

    protocol: int
    """The version that the server speaks: that of ``hello``."""
    session: str
    """The session's id, for logs and for ``watch``."""
    resume_token: str
    """A secret for ``hello.resume``. Keep it as you keep a token."""
    resumed: bool
    """Whether the session of ``hello.resume`` goes on. If false, it begins anew."""
    ice_servers: list[IceServer]
    """STUN and TURN servers for the client; often empty."""
    limits: Limits
    """What the server enforces."""
    models: dict[str, Model]
    """By stage: ``detect``, ``pose``, ``segment``, ``ocr``, ``flow``. An absent stage cannot be switched
    on."""
    every_frame: bool = False
    """Whether the session runs in lock-step."""
    media_kept: bool = False
    """Whether the earlier peer connection goes on. If true, send no ``offer``."""
    engine: str = ""
    """What runs the models: ``embedded`` (ONNX Runtime in the server) or ``triton``."""
    node: str = ""
    """The server's name behind a shared address. To resume, connect to ``/ws/inference?node=<node>``."""
    seq_floor: int = 0
    """Every ``result.seq`` of this session is greater."""


class Watching(Struct, tag="watching", tag_field="type"):
    """Answers ``hello`` with ``watch``. An ``event`` ``state`` follows: ``published`` or ``unpublished``."""

    protocol: int
    """As in `Welcome`."""
    limits: Limits
    """As in `Welcome`."""
    models: dict[str, Model]
    """As in `Welcome`."""
    engine: str = ""
    """As in `Welcome`."""


class Answer(Struct, tag="answer", tag_field="type"):
    """Answers ``offer``."""

    sdp: str
    """The SDP answer, with all candidates of the server. The server trickles none."""


class Result(Struct, tag="result", tag_field="type"):
    """What was found in one frame. A stage that did not run is null; a stage that found nothing is ``[]``."""

    seq: int
    """Counts frames that were inferred. A gap is a result that was lost after inference."""
    frame: FrameInfo
    """The frame that this result belongs to."""
    detections: list[WireDetection] | None
    """Objects."""
    poses: list[WirePose] | None
    """Persons with keypoints."""
    texts: list[WireText] | None
    """What OCR read since the result before, in ``texts_frame``. Null in most results."""
    motion: WireMotion | None
    """Motion of the whole picture. Null without ``flow``, for the first frame, and where it cannot be
    measured."""
    timing_ms: dict[str, float]
    """Milliseconds by stage. ``wait``: arrival to inference; ``total``: arrival to result. Others:
    ``prepare``, ``detect``, ``pose``, ``segment``, ``flow``."""
    dropped: dict[str, int]
    """Frames and results dropped since the session began, by `Drop`."""
    segments: list[WireSegment] | None = None
    """Objects with outlines."""
    texts_frame: FrameInfo | None = None
    """The frame of ``texts``, most often earlier than ``frame``. Null if ``texts`` is."""
    followed_texts: list[WireText] | UnsetType = UNSET
    """Texts that were read earlier, where they are in this frame; 20 at most. Absent until OCR has read
    once."""


class OcrEvent(Struct, tag="ocr", tag_field="event"):
    """An OCR run ended; ``texts`` may be empty. It comes on the WebSocket, whatever ``channel`` is."""

    frame: FrameInfo
    """The frame that was read."""
    texts: list[WireText]
    """The lines of text in it."""
    type: Literal["event"] = "event"
    id: int = 0
    """Counts the session's OCR events, from 1. Send the newest as ``hello.last_event_id`` to resume."""


class StateEvent(Struct, tag="state", tag_field="event"):
    """The server's state changed. It comes on the WebSocket, whatever ``channel`` is."""

    state: ServerState
    """The state from now on. ``media_failed`` is no lasting state: the one before stays."""
    cause: MediaFailureCause | UnsetType = UNSET
    """With ``media_failed``, if known."""
    message: str | UnsetType = UNSET
    """With ``cause``: for people."""
    degraded: list[StageName] | UnsetType = UNSET
    """Stages that are on and get less because the server is overloaded, the first to give way in front.
    Empty: all is back. Absent: no change."""
    type: Literal["event"] = "event"


Event: TypeAlias = OcrEvent | StateEvent


class Rate(Struct, tag="rate", tag_field="type"):
    """A hint: more frames are dropped, more bits and pixels are of no use. It replaces the hint before."""

    max_framerate: float
    """Frames per second."""
    max_bitrate: int
    """Bits per second, of video."""
    scale_resolution_down_by: float
    """At least 1. Divide both sides of the camera's picture by it, not those of the picture sent now."""


class Pong(Struct, tag="pong", tag_field="type"):
    """Answers ``ping``."""

    id: int
    """That of ``ping``."""
    server_time_ms: float
    """Unix time of the server, in milliseconds."""


class Error(Struct, tag="error", tag_field="type"):
    """The server rejected something."""

    code: ErrorCode
    """For programs."""
    message: str
    """For people and logs; it may change."""
    fatal: bool
    """Whether ``closing`` follows. If false, the session goes on."""


class Closing(Struct, tag="closing", tag_field="type"):
    """The last message of the server. After ``moved`` alone, results and other messages go on for 10 s."""

    reason: EndReason
    """Why the connection ends."""
    retry_after_s: float | None
    """Seconds until the client may connect again. Null: do not reconnect by yourself."""
    token: str | UnsetType = UNSET
    """With ``moved``: for the next ``hello``, for 60 s. The client's own token may have expired."""


ServerMessage: TypeAlias = (
    Welcome | Watching | Answer | Candidate | Result | Event | Rate | Pong | Error | Closing
)
