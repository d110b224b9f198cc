/**
 * One WebSocket to `/ws/inference`, from `hello` to its end.
 *
 * @module
 */

import { FailureCode } from "../shared/failure.js";
import { timeoutSignal } from "../shared/timeout_signal.js";
import { EndReason, PROTOCOL_VERSION, decodeServerMessage } from "../shared/wire.js";
import { unixTime } from "./capture_clock.js";
import { ClockOffset } from "./clock_offset.js";
import { Silence } from "./silence.js";

const OPEN_TIMEOUT_MS = 5000;
const PING_INTERVAL_MS = 1000;
/** Each ping has its answer: without any word for so long the socket may be lost. */
const HEARD_MS = 1500;
const PROBE_TIMEOUT_MS = 2000;
const CLOSE_CODE_NORMAL = 1000;

/**
 * How a connection ended.
 *
 * @typedef {object} End
 * @property {import("../shared/failure.js").FailureCodeValue} code
 * @property {string} detail
 * @property {number | null} retryAfterMs null where trying again cannot help.
 * @property {boolean} moved The client is to go elsewhere; this connection serves on until it is released.
 * @property {string} [token] For that.
 * @property {boolean} refused The server said no before there was a session.
 */

/**
 * @typedef {object} Hello
 * @property {string | null} token
 * @property {"datachannel" | "websocket"} channel
 * @property {import("../shared/wire.js").PipelineConfig} pipeline
 * @property {string | null} resume
 * @property {string | null} watch
 * @property {boolean} keep_media
 * @property {number} seq_floor
 * @property {number | null} last_event_id
 */

export class Connection {
  #url;
  #hello;
  #onMessage;
  #silence = new Silence(PING_INTERVAL_MS, performance.now());
  #pingId = 0;
  #clock = new ClockOffset();
  #silenceMs = OPEN_TIMEOUT_MS;
  /** @type {string} What the server last called a fatal error. */
  #complaint = "";
  /** @type {(end: End) => void} The first call stands. */
  #resolve = () => {};
  /** @type {Promise<End>} */
  #ended = new Promise((resolve) => (this.#resolve = resolve));
  #welcomed = false;

  /** @type {WebSocket} */
  socket;

  /**
   * @param {string} url ws: or wss:
   * @param {Hello} hello
   * @param {(message: import("../shared/wire.js").ServerMessage) => void} onMessage Gets all but closing.
   * @param {string | null} node Which of the servers at `url` is asked for.
   */
  constructor(url, hello, onMessage, node = null) {
    this.#url = node === null ? url : `${url}?node=${encodeURIComponent(node)}`;
    this.#hello = hello;
    this.#onMessage = onMessage;
    this.socket = new WebSocket(this.#url);
  }

  /** Whether the server is there, as far as its pongs tell. */
  get isHeard() {
    return this.#silence.since(performance.now()) < HEARD_MS;
  }

  /** Runs until one side ends it, or the client has to move. @returns {Promise<End>} */
  async run() {
    const socket = this.socket;
    socket.onopen = () => this.send({ type: "hello", protocol: PROTOCOL_VERSION, ...this.#hello });
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#lost();
    const timer = setInterval(() => this.#watch(), PING_INTERVAL_MS);
    const end = await this.#ended;
    clearInterval(timer);
    if (!end.moved) this.release();
    return end;
  }

  /** Ends it without a word, where it has ended or was left. */
  release() {
    this.socket.onmessage = null;
    this.socket.onclose = null;
    this.socket.close();
  }

  /** @param {import("../shared/wire.js").ClientMessage} message Dropped while the socket is not open. */
  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /**
   * Says `bye` and ends. Resolves when the socket is closed: a server that is there answers the closing
   * (RFC 6455, 7.1.2) when it has let go of the session; the browser does not wait long for one that is not.
   */
  async close() {
    this.send({ type: "bye" });
    const closed = new Promise((resolve) => this.socket.addEventListener("close", resolve, { once: true }));
    this.socket.close(CLOSE_CODE_NORMAL);
    this.#end(FailureCode.CONNECTION_LOST, "closed here", null);
    if (this.socket.readyState !== WebSocket.CLOSED) await closed;
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#silence.heard(performance.now());
    const message = decodeServerMessage(data);
    if (message === null) return;
    switch (message.type) {
      case "pong":
        this.#clock.answered(message.id, message.server_time_ms, unixTime(performance.now()));
        break;
      case "closing":
        this.#closing(message);
        return;
      case "error":
        if (message.fatal) this.#complaint = message.message;
        break;
      case "welcome":
      case "watching":
        this.#welcomed = true;
        this.#silenceMs = message.limits.liveness_timeout_s * 1000;
        this.ping();
        break;
    }
    this.#onMessage(message);
  }

  #watch() {
    const silence = this.#silence.watch(performance.now());
    if (silence > this.#silenceMs) {
      this.#end(FailureCode.SERVER_SILENT, `nothing heard for ${Math.round(silence)} ms`, 0);
    } else if (this.#welcomed) {
      this.ping();
    }
  }

  /** Asks for an answer, in its turn behind what was sent before. @returns {number} Which the answer repeats. */
  ping() {
    const id = ++this.#pingId;
    this.#clock.asked(id, unixTime(performance.now()));
    this.send({ type: "ping", id, clock_offset_ms: this.#clock.offset });
    return id;
  }

  /** @param {import("../shared/wire.js").Closing} closing */
  #closing({ reason, retry_after_s: retryAfter, token }) {
    const code = CODE_BY_END_REASON[reason] ?? FailureCode.CONNECTION_LOST;
    const detail = this.#complaint || reason;
    const retryAfterMs = retryAfter === null ? null : retryAfter * 1000;
    const moved = reason === EndReason.MOVED && this.#welcomed;
    this.#resolve({ code, detail, retryAfterMs, moved, token, refused: !this.#welcomed });
  }

  async #lost() {
    if (this.#welcomed) {
      this.#end(FailureCode.CONNECTION_LOST, "the socket closed", 0);
      return;
    }
    this.#resolve(await explainRefusal(this.#url));
  }

  /**
   * @param {End["code"]} code
   * @param {string} detail
   * @param {number | null} retryAfterMs
   */
  #end(code, detail, retryAfterMs) {
    this.#resolve({ code, detail, retryAfterMs, moved: false, refused: false });
  }
}

/** @type {Record<string, End["code"]>} What is absent is a connection lost, to be taken up again. */
const CODE_BY_END_REASON = {
  [EndReason.PAUSE_TIMEOUT]: FailureCode.PAUSED_TOO_LONG,
  [EndReason.UNAUTHORIZED]: FailureCode.UNAUTHORIZED,
  [EndReason.REPLACED]: FailureCode.REPLACED,
  [EndReason.PROTOCOL_ERROR]: FailureCode.PROTOCOL_ERROR,
  [EndReason.SERVER_FULL]: FailureCode.SERVER_BUSY,
  [EndReason.TOO_MANY_SESSIONS]: FailureCode.TOO_MANY_SESSIONS,
  [EndReason.MOVED]: FailureCode.SERVER_RESTARTING,
  [EndReason.SERVER_SHUTDOWN]: FailureCode.SERVER_RESTARTING,
  [EndReason.INTERNAL_ERROR]: FailureCode.SERVER_ERROR,
};

/** @type {Record<string, End["code"]>} Words of a 503: the server's, and `unavailable` of a proxy before it. */
const CODE_BY_REFUSAL = {
  loading: FailureCode.MODELS_LOADING,
  full: FailureCode.SERVER_BUSY,
  starting: FailureCode.FLEET_GROWING,
  memory: FailureCode.SERVER_BUSY,
  sockets: FailureCode.SERVER_BUSY,
  draining: FailureCode.SERVER_RESTARTING,
  failed: FailureCode.SERVER_ERROR,
  unavailable: FailureCode.SERVER_UNREACHABLE,
};

/**
 * A browser hides why an upgrade was refused. The same address over HTTP tells.
 *
 * @param {string} url
 * @returns {Promise<End>}
 */
async function explainRefusal(url) {
  try {
    const signal = timeoutSignal(PROBE_TIMEOUT_MS);
    const response = await fetch(url.replace(/^ws/, "http"), { cache: "no-store", signal });
    const detail = `HTTP ${response.status}`;
    const said = { detail, retryAfterMs: null, moved: false, refused: true };
    if (response.status === 401) return { ...said, code: FailureCode.UNAUTHORIZED };
    if (response.status === 403) return { ...said, code: FailureCode.ORIGIN_REFUSED };
    if (response.status !== 503) return { ...said, code: FailureCode.SERVER_UNREACHABLE, retryAfterMs: 0 };
    const { error, retry_after_s: seconds } = await response.json();
    const code = CODE_BY_REFUSAL[error] ?? FailureCode.SERVER_BUSY;
    return { ...said, code, detail: `${detail} ${error}`, retryAfterMs: 1000 * (Number(seconds) || 0) };
  } catch (error) {
    const code = FailureCode.SERVER_UNREACHABLE;
    return { code, detail: String(error), retryAfterMs: 0, moved: false, refused: false };
  }
}
