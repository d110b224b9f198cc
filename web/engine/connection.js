/**
 * One WebSocket to `/ws/inference`, from `hello` to its end.
 *
 * @module
 */

import { FailureCode } from "../shared/failure.js";
import { EndReason, PROTOCOL_VERSION, decodeServerMessage } from "../shared/wire.js";

const OPEN_TIMEOUT_MS = 5000;
const PING_INTERVAL_MS = 1000;
const PROBE_TIMEOUT_MS = 2000;
const CLOSE_CODE_NORMAL = 1000;

/**
 * How a connection ended.
 *
 * @typedef {object} End
 * @property {import("../shared/failure.js").FailureCodeValue} code
 * @property {string} detail
 * @property {number | null} retryAfterMs null where trying again cannot help.
 */

/**
 * @typedef {object} Hello
 * @property {string | null} token
 * @property {"datachannel" | "websocket"} channel
 * @property {import("../shared/wire.js").PipelineConfig} pipeline
 * @property {string | null} resume
 */

export class Connection {
  #url;
  #hello;
  #onMessage;
  #lastHeard = performance.now();
  #pingId = 0;
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
   * @param {(message: import("../shared/wire.js").ServerMessage) => void} onMessage Gets all but pong and closing.
   */
  constructor(url, hello, onMessage) {
    this.#url = url;
    this.#hello = hello;
    this.#onMessage = onMessage;
    this.socket = new WebSocket(url);
  }

  /** Runs until one side ends it. @returns {Promise<End>} */
  async run() {
    const socket = this.socket;
    socket.onopen = () => this.send({ type: "hello", protocol: PROTOCOL_VERSION, ...this.#hello });
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#lost();
    const timer = setInterval(() => this.#watch(), PING_INTERVAL_MS);
    try {
      return await this.#ended;
    } finally {
      clearInterval(timer);
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
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
    this.#lastHeard = performance.now();
    const message = decodeServerMessage(data);
    if (message === null) return;
    switch (message.type) {
      case "pong":
        return;
      case "closing":
        this.#closing(message);
        return;
      case "error":
        if (message.fatal) this.#complaint = message.message;
        break;
      case "welcome":
        this.#welcomed = true;
        this.#silenceMs = message.limits.liveness_timeout_s * 1000;
        break;
    }
    this.#onMessage(message);
  }

  #watch() {
    const silence = performance.now() - this.#lastHeard;
    if (silence > this.#silenceMs) {
      this.#end(FailureCode.SERVER_SILENT, `nothing heard for ${Math.round(silence)} ms`, 0);
    } else if (this.#welcomed) {
      this.send({ type: "ping", id: ++this.#pingId });
    }
  }

  /** @param {import("../shared/wire.js").Closing} closing */
  #closing({ reason, retry_after_s: retryAfter }) {
    const code = CODE_BY_END_REASON[reason] ?? FailureCode.CONNECTION_LOST;
    this.#end(code, this.#complaint || reason, retryAfter === null ? null : retryAfter * 1000);
  }

  async #lost() {
    if (this.#welcomed) {
      this.#end(FailureCode.CONNECTION_LOST, "the socket closed", 0);
      return;
    }
    const { code, detail, retryAfterMs } = await explainRefusal(this.#url);
    this.#end(code, detail, retryAfterMs);
  }

  /**
   * @param {End["code"]} code
   * @param {string} detail
   * @param {number | null} retryAfterMs
   */
  #end(code, detail, retryAfterMs) {
    this.#resolve({ code, detail, retryAfterMs });
  }
}

/** @type {Record<string, End["code"]>} What is absent is a connection lost, to be taken up again. */
const CODE_BY_END_REASON = {
  [EndReason.UNAUTHORIZED]: FailureCode.UNAUTHORIZED,
  [EndReason.REPLACED]: FailureCode.REPLACED,
  [EndReason.PROTOCOL_ERROR]: FailureCode.PROTOCOL_ERROR,
  [EndReason.SERVER_FULL]: FailureCode.SERVER_BUSY,
  [EndReason.TOO_MANY_SESSIONS]: FailureCode.TOO_MANY_SESSIONS,
  [EndReason.SERVER_SHUTDOWN]: FailureCode.SERVER_RESTARTING,
  [EndReason.INTERNAL_ERROR]: FailureCode.SERVER_ERROR,
};

/** @type {Record<string, End["code"]>} Words of a 503: the server's, and `unavailable` of a proxy before it. */
const CODE_BY_REFUSAL = {
  loading: FailureCode.MODELS_LOADING,
  full: FailureCode.SERVER_BUSY,
  memory: FailureCode.SERVER_BUSY,
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
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const response = await fetch(url.replace(/^ws/, "http"), { cache: "no-store", signal });
    const detail = `HTTP ${response.status}`;
    if (response.status === 401) return { code: FailureCode.UNAUTHORIZED, detail, retryAfterMs: null };
    if (response.status === 403) return { code: FailureCode.ORIGIN_REFUSED, detail, retryAfterMs: null };
    if (response.status !== 503) return { code: FailureCode.SERVER_UNREACHABLE, detail, retryAfterMs: 0 };
    const { error, retry_after_s: seconds } = await response.json();
    const code = CODE_BY_REFUSAL[error] ?? FailureCode.SERVER_BUSY;
    return { code, detail: `${detail} ${error}`, retryAfterMs: 1000 * (Number(seconds) || 0) };
  } catch (error) {
    return { code: FailureCode.SERVER_UNREACHABLE, detail: String(error), retryAfterMs: 0 };
  }
}
