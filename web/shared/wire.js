/**
 * The messages of `/ws/inference`, as in `signaling/messages.py`. JSON text; a binary message is one JPEG frame.
 *
 * Coordinates are normalised to the frame that was sent: x to the right, y down, 0..1. Boxes are x, y, width, height.
 *
 * @module
 */

export const PROTOCOL_VERSION = 1;

/** Label of the data channel that the client opens for results. */
export const RESULTS_LABEL = "results";

/** Why the server ended a connection (`closing.reason`). */
export const EndReason = Object.freeze({
  BYE: "bye",
  CLIENT_GONE: "client_gone",
  PING_TIMEOUT: "ping_timeout",
  MEDIA_TIMEOUT: "media_timeout",
  PAUSE_TIMEOUT: "pause_timeout",
  DTLS_FAILED: "dtls_failed",
  HELLO_TIMEOUT: "hello_timeout",
  NO_MEDIA: "no_media",
  PROTOCOL_ERROR: "protocol_error",
  UNAUTHORIZED: "unauthorized",
  REPLACED: "replaced",
  SERVER_FULL: "server_full",
  TOO_MANY_SESSIONS: "too_many_sessions",
  MOVED: "moved",
  SERVER_SHUTDOWN: "server_shutdown",
  INTERNAL_ERROR: "internal_error",
});

/**
 * @typedef {"detect" | "pose" | "segment" | "ocr" | "flow"} Stage
 * @typedef {[number, number]} Point
 * @typedef {[number, number, number, number]} Box
 *
 * @typedef {object} PipelineConfig What to run; what is left out keeps its value.
 * @property {boolean} [detect]
 * @property {boolean} [pose]
 * @property {boolean} [segment]
 * @property {boolean} [ocr]
 * @property {boolean} [flow]
 * @property {number} [detect_threshold] 0..1
 * @property {number} [pose_threshold] 0..1
 * @property {number} [segment_threshold] 0..1
 * @property {number} [hysteresis] 0..1; what is tracked already may score so much less than its threshold.
 * @property {string[]} [ocr_labels] OCR runs when one of these detector labels appears.
 * @property {boolean} [ocr_on_settle] OCR runs when motion in the picture settles.
 * @property {number} [ocr_min_interval_s]
 * @property {Stage[]} [priority] What gives way last where the server cannot keep up stands first.
 *
 * @typedef {object} FrameInfo Names the frame that a result belongs to; size in pixels as it was sent.
 * @property {number | null} rtp_timestamp 90 kHz, 32 bits; null for JPEG frames.
 * @property {number} pts_ms Since the session's first frame.
 * @property {number | null} capture_time_ms Unix time in this browser's clock; null where it is unknown.
 * @property {boolean} [capture_time_estimated] It is in the server's clock, estimated from when frames arrive. Absent
 *   from an older server.
 * @property {number} width
 * @property {number} height
 *
 * @typedef {{id: number, label: string, score: number, box: Box, velocity: Point | null}} Detection
 *   `velocity` is in frame widths and heights per second, x to the right and y down; null at the first sighting.
 * @typedef {{id: number, score: number, box: Box, keypoints: [number, number, number][]}} Pose
 *   17 COCO keypoints as x, y, score.
 * @typedef {{id: number, label: string, score: number, box: Box, polygon: Point[]}} Segment
 *   `polygon` is the outline, 64 points at most; empty where there is none.
 * @typedef {{id?: number, text: string, score: number, quad: [Point, Point, Point, Point]}} Text
 *   `quad` is clockwise from the text's own top left. `id` stays while the text is there; absent from an older server.
 * @typedef {{dx: number, dy: number, magnitude: number}} Motion Frame widths and heights per second.
 * @typedef {object} Model
 * @property {string} name
 * @property {string[]} labels
 * @property {number} [kinds] How many kinds of things it can find. Absent, as what follows, from an older server.
 * @property {string | null} [licence] Of its weights, as an SPDX identifier.
 * @property {boolean} [synthetic] It was trained on drawings only.
 *
 * @typedef {{max_text_bytes: number, max_jpeg_bytes: number, liveness_timeout_s: number, resume_window_s: number,
 *   no_media_timeout_s?: number, pause_timeout_s?: number}} Limits What follows the first four is absent from an older server.
 */

/**
 * Client → server.
 *
 * @typedef {{type: "hello", protocol: number, token: string | null, channel: "datachannel" | "websocket",
 *   pipeline: PipelineConfig, resume: string | null, watch: string | null, keep_media: boolean, seq_floor: number,
 *   last_event_id: number | null}} Hello `watch` is a stream's name; `keep_media`: the peer connection of before is still
 *   there; `seq_floor`: results of a new session have higher numbers; `last_event_id`: of the newest event that came in
 *   the session of `resume`.
 * @typedef {{type: "offer", sdp: string, camera_framerate: number | null}} Offer
 * @typedef {{type: "candidate", candidate: RTCIceCandidateInit | null}} Candidate
 * @typedef {{type: "configure", pipeline: PipelineConfig}} Configure
 * @typedef {{type: "trigger", model: "ocr"}} Trigger
 * @typedef {{type: "ping", id: number, clock_offset_ms: number | null}} Ping
 * @typedef {{type: "report", render_fps: number | null, result_age_ms: number | null}} Report
 * @typedef {{type: "bye"}} Bye
 * @typedef {Hello | Offer | Candidate | Configure | Trigger | Ping | Report | Bye} ClientMessage
 */

/**
 * Server → client.
 *
 * @typedef {{type: "watching", protocol: number, limits: Limits, models: Record<string, Model>, engine?: "embedded" | "triton"}} Watching
 *
 * @typedef {object} Welcome
 * @property {"welcome"} type
 * @property {number} protocol
 * @property {string} session
 * @property {string} resume_token
 * @property {boolean} resumed
 * @property {RTCIceServer[]} ice_servers
 * @property {Limits} limits
 * @property {Record<string, Model>} models Keyed by detect, pose, segment, ocr, flow; what is absent cannot be
 *   switched on.
 * @property {boolean} [media_kept] The peer connection of before goes on. Absent, as what follows, from an older server.
 * @property {string} [node] The server, among others behind one address, that has the session.
 * @property {number} [seq_floor] That of `hello`, where this is a new session.
 * @property {"embedded" | "triton"} [engine] What runs the models.
 *
 * @typedef {object} Result A stage that did not run is null, not an empty list.
 * @property {"result"} type
 * @property {number} seq
 * @property {FrameInfo} frame
 * @property {Detection[] | null} detections
 * @property {Pose[] | null} poses
 * @property {Segment[] | null} [segments] Absent from an older server.
 * @property {Text[] | null} texts
 * @property {FrameInfo | null} [texts_frame] In which the texts were read: most often an earlier one.
 * @property {Text[]} [followed_texts] Those in this frame, read in an earlier one; absent until OCR has
 *   read, and from an older server.
 * @property {Motion | null} motion
 * @property {Record<string, number>} timing_ms
 * @property {Record<string, number>} dropped Since the session began, by stage.
 *
 * @typedef {{type: "answer", sdp: string}} Answer
 * @typedef {{type: "event", event: "ocr" | "state", id?: number, frame?: FrameInfo, texts?: Text[],
 *   state?: string, cause?: "ice" | "dtls", message?: string, degraded?: Stage[]}} ServerEvent `id` numbers those of OCR;
 *   absent from an older server. `degraded`: what gives way, as the server cannot keep up; absent where nothing did.
 * @typedef {{type: "rate", max_framerate: number, max_bitrate: number, scale_resolution_down_by: number}} Rate
 * @typedef {{type: "pong", id: number, server_time_ms: number}} Pong
 * @typedef {{type: "error", code: string, message: string, fatal: boolean}} ServerError
 * @typedef {{type: "closing", reason: string, retry_after_s: number | null, token?: string}} Closing
 *   `token`: for the next `hello`, where the session has to move.
 * @typedef {Welcome | Watching | Answer | Candidate | Result | ServerEvent | Rate | Pong | ServerError | Closing} ServerMessage
 */

/**
 * Reads one text message of the server.
 *
 * @param {unknown} data
 * @returns {ServerMessage | null} null for what is not a message of this protocol; a newer server may send such.
 */
export function decodeServerMessage(data) {
  if (typeof data !== "string") return null;
  try {
    const message = JSON.parse(data);
    return typeof message?.type === "string" ? message : null;
  } catch {
    return null;
  }
}
