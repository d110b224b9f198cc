"""What ``docs/protocol.md`` adds to each error code and each end reason: what follows, and what to do."""

from __future__ import annotations

from signaling.codes import EndReason, ErrorCode

ERRORS: dict[ErrorCode, tuple[str, str]] = {
    ErrorCode.BAD_MESSAGE: ("no", "Correct the message."),
    ErrorCode.UNKNOWN_TYPE: ("no", "The server is older: do without this message."),
    ErrorCode.TOO_LARGE: ("text: yes; JPEG: no", "Offer fewer codecs, or compress the frame more."),
    ErrorCode.RATE_LIMITED: ("messages: yes; offers: no; JPEG: after a flood", "Send less often."),
    ErrorCode.UNSUPPORTED_VERSION: ("yes", "Speak the version that `message` names."),
    ErrorCode.UNEXPECTED_MESSAGE: ("see [errors](#errors)", "Keep to the [order](#order)."),
    ErrorCode.BAD_SDP: ("no", "Correct the offer, or send JPEG frames."),
    ErrorCode.NO_VIDEO: ("no", "Add the video track before the offer is made."),
    ErrorCode.UNSUPPORTED_CODEC: ("no", "Offer VP8 or H.264, or send JPEG frames."),
    ErrorCode.OUT_OF_SOCKETS: ("no", "Send JPEG frames, and offer again after some seconds."),
    ErrorCode.BAD_CANDIDATE: ("no", "Correct the candidate. The other candidates still count."),
    ErrorCode.BAD_FRAME: ("no", "Correct the picture; `message` says what is wrong."),
    ErrorCode.MODEL_UNAVAILABLE: ("no", "Switch on what `welcome.models` lists. The rest took effect."),
    ErrorCode.MODEL_FAILED: ("no", "None. It comes once in 2 s at most while the model fails."),
    ErrorCode.UNAUTHORIZED: ("yes", "Get a new token."),
}
"""Whether it is fatal after ``welcome``, and the remedy."""

ENDS: dict[EndReason, tuple[str, str, str]] = {
    EndReason.BYE: ("no", "null", "Nothing."),
    EndReason.CLIENT_GONE: ("yes", "—", "Resume at once."),
    EndReason.PING_TIMEOUT: ("yes", "0", "Resume at once. Answer pings, and read results."),
    EndReason.MEDIA_TIMEOUT: ("yes", "0", "Resume at once."),
    EndReason.PAUSE_TIMEOUT: ("no", "null", "Begin a new session when there are frames."),
    EndReason.DTLS_FAILED: ("yes", "0", "Resume, and send JPEG frames."),
    EndReason.HELLO_TIMEOUT: ("no", "0", "Send `hello` first."),
    EndReason.NO_MEDIA: ("yes", "0", "Resume, and send JPEG frames."),
    EndReason.PROTOCOL_ERROR: ("no", "null", "Correct the client. The `error` before names the fault."),
    EndReason.UNAUTHORIZED: ("no", "null", "Get a new token, then begin a new session."),
    EndReason.REPLACED: ("yes", "null", "Nothing: the other connection has the session."),
    EndReason.SERVER_FULL: ("yes", "1", "Connect again. A full server then answers 503."),
    EndReason.TOO_MANY_SESSIONS: ("yes", "10", "End another session or watcher of this subject."),
    EndReason.MOVED: (
        "no",
        "0",
        "Open the next session first, then leave (see [Several servers](#several-servers)).",
    ),
    EndReason.SERVER_SHUTDOWN: ("no", "2", "Begin a new session."),
    EndReason.INTERNAL_ERROR: ("yes", "1", "Resume."),
}
"""Whether the session waits for its client, ``retry_after_s``, and what the client does."""
