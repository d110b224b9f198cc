/**
 * Everything that can go wrong, by a code that the page turns into words and a way out (`ui/words.js`).
 *
 * @module
 */

export const FailureCode = Object.freeze({
  // The picture
  INSECURE_ORIGIN: "insecure_origin",
  NO_CAMERA: "no_camera",
  CAMERA_DENIED: "camera_denied",
  CAMERA_BUSY: "camera_busy",
  SCREEN_DENIED: "screen_denied",
  SCREEN_NEEDS_TAP: "screen_needs_tap",
  FILE_UNPLAYABLE: "file_unplayable",
  SOURCE_UNSUPPORTED: "source_unsupported",
  PLAYBACK_BLOCKED: "playback_blocked",
  CANVAS_HIDDEN: "canvas_hidden",
  SOURCE_ENDED: "source_ended",
  SOURCE_PAUSED: "source_paused",
  SOURCE_MUTED: "source_muted",
  PAUSED_TOO_LONG: "paused_too_long",
  STREAM_UNPUBLISHED: "stream_unpublished",
  BAD_STREAM_NAME: "bad_stream_name",
  // The server
  SERVER_UNREACHABLE: "server_unreachable",
  SERVER_SILENT: "server_silent",
  ORIGIN_REFUSED: "origin_refused",
  SERVER_BUSY: "server_busy",
  FLEET_GROWING: "fleet_growing",
  TOO_MANY_SESSIONS: "too_many_sessions",
  MODELS_LOADING: "models_loading",
  MODELS_AWAY: "models_away",
  SERVER_RESTARTING: "server_restarting",
  SERVER_ERROR: "server_error",
  CONNECTION_LOST: "connection_lost",
  UNAUTHORIZED: "unauthorized",
  KEY_NEEDED: "key_needed",
  TOKEN_REFUSED: "token_refused",
  REPLACED: "replaced",
  PROTOCOL_ERROR: "protocol_error",
  // The GPU machine
  GPU_STOPPED: "gpu_stopped",
  GPU_FAILED: "gpu_failed",
  GPU_RUNS_ON: "gpu_runs_on",
  LIFECYCLE_UNREACHABLE: "lifecycle_unreachable",
  // The page's own parts
  ENGINE_LOST: "engine_lost",
});

/** @typedef {typeof FailureCode[keyof typeof FailureCode]} FailureCodeValue */

/** An error with a code; `message` is detail for the diagnostics, not for the user. */
export class Failure extends Error {
  /**
   * @param {FailureCodeValue} code
   * @param {string} [detail]
   */
  constructor(code, detail = "") {
    super(detail);
    this.name = "Failure";
    this.code = code;
  }
}
