/**
 * The client of a mediaserver: give it a video track, get results. Imports nothing of the control page, so
 * that any page can use it:
 *
 *     const client = new InferenceClient({ url: "wss://example.org/ws/inference", track });
 *     client.addEventListener("result", ({ detail }) => console.log(detail.result.detections));
 *     client.start();
 *
 * It comes back by itself after a lost network or a restarted server, resumes its session, and goes over to
 * JPEG frames on the WebSocket where WebRTC gets no way through.
 *
 * @module
 */

import { Transport } from "../shared/transport.js";
import { decodeServerMessage } from "../shared/wire.js";
import { unixTime } from "./capture_clock.js";
import { Connection } from "./connection.js";
import { MediaPath } from "./media_path.js";

export { Transport };

export const ClientState = Object.freeze({
  IDLE: "idle",
  CONNECTING: "connecting",
  LIVE: "live",
  RECONNECTING: "reconnecting",
  ENDED: "ended",
});

/** @typedef {typeof ClientState[keyof typeof ClientState]} ClientStateValue */

/**
 * idle ── start ──▶ connecting ── media or JPEG flows ──▶ live
 *                      │  ▲                                │
 *         not retryable│  └── welcome ── reconnecting ◀────┤ lost, or refused with a retry time
 *                      ▼                    │              │
 *                    ended ◀────────────────┴──────────────┘ close(), or an end that no retry can help
 *
 * @type {Record<ClientStateValue, readonly ClientStateValue[]>}
 */
const TRANSITIONS = {
  idle: ["connecting", "ended"],
  connecting: ["live", "reconnecting", "ended"],
  live: ["reconnecting", "ended"],
  reconnecting: ["connecting", "ended"],
  ended: [],
};

/** Answers to an offer that cannot work: no media path this way. */
const OFFER_REFUSED = new Set(["bad_sdp", "no_video", "unsupported_codec"]);

const BACKOFF_MS = [250, 500, 1000, 1500, 2000, 3000];

/**
 * @typedef {object} ClientOptions
 * @property {string} url ws: or wss: address of `/ws/inference`
 * @property {MediaStreamTrack} track Video. Stays the caller's: it is not stopped here.
 * @property {string | null} [token] Where the server asks for one.
 * @property {import("../shared/wire.js").PipelineConfig} [pipeline]
 * @property {"datachannel" | "websocket"} [channel] Where results come back.
 *
 * @typedef {{state: ClientStateValue, end: import("./connection.js").End | null, retryInMs: number | null}} StateDetail
 *   `end` says why a connection ended, or why `ended`; null after `close()`.
 * @typedef {"ready" | "degraded"} ModelsState `degraded` while what runs the models is out of the server's reach.
 * @typedef {{result: import("../shared/wire.js").Result, captureTime: number, ageMs: number}} ResultDetail
 *   `captureTime` is Unix time in ms of the frame, from the result or, until the server knows it, estimated.
 */

/**
 * Events, each a `CustomEvent`: `state` (`StateDetail`), `transport` (`Transport`), `welcome` (`Welcome`),
 * `result` (`ResultDetail`), `texts` (`ServerEvent` of an OCR run), `rate` (`Rate`),
 * `models` (`ModelsState`; `ready` at each `welcome`), `notice` (`ServerError` that ends nothing).
 */
export class InferenceClient extends EventTarget {
  #options;
  /** @type {import("../shared/wire.js").PipelineConfig} */
  #pipeline;
  /** @type {ClientStateValue} */
  #state = ClientState.IDLE;
  /** @type {import("../shared/transport.js").TransportValue} */
  #transport = Transport.NONE;
  /** @type {Connection | null} */
  #connection = null;
  /** @type {MediaPath | null} */
  #media = null;
  /** @type {string | null} */
  #resumeToken = null;
  #failures = 0;
  #background = false;
  #sentBytes = 0;
  #wake = () => {};

  /** @param {ClientOptions} options */
  constructor(options) {
    super();
    this.#options = { token: null, channel: /** @type {const} */ ("datachannel"), ...options };
    this.#pipeline = { ...options.pipeline };
  }

  get state() {
    return this.#state;
  }

  get transport() {
    return this.#transport;
  }

  /** Bytes of media and data sent since `start()`. */
  get sentBytes() {
    return this.#sentBytes + (this.#media?.sentBytes ?? 0);
  }

  /** Connects, and stays connected until `close()` or an end that no retry can help. */
  start() {
    if (this.#state === ClientState.IDLE) this.#run();
  }

  /** @param {import("../shared/wire.js").PipelineConfig} pipeline Only what changes. */
  configure(pipeline) {
    Object.assign(this.#pipeline, pipeline);
    this.#connection?.send({ type: "configure", pipeline });
  }

  /** Runs OCR on the newest frame now. */
  trigger() {
    this.#connection?.send({ type: "trigger", model: "ocr" });
  }

  /**
   * Tells the server what the user sees, for its metrics.
   *
   * @param {number | null} renderFps
   * @param {number | null} resultAgeMs
   */
  report(renderFps, resultAgeMs) {
    this.#connection?.send({ type: "report", render_fps: renderFps, result_age_ms: resultAgeMs });
  }

  /** @param {boolean} background The tab is hidden: send just enough to stay alive. */
  setBackground(background) {
    this.#background = background;
    this.#media?.setBackground(background);
    if (!background) this.#wake();
  }

  /** Tries again now, if it waits to. */
  retry() {
    this.#wake();
  }

  /** Ends the session; resolves when the server has let go of it. Idempotent. */
  async close() {
    if (this.#state === ClientState.ENDED) return;
    const connection = this.#connection;
    this.#become(ClientState.ENDED, null, null);
    this.#wake();
    await connection?.close();
  }

  async #run() {
    const retry = () => this.#wake();
    addEventListener("online", retry);
    try {
      while (this.#state !== ClientState.ENDED) await this.#connectOnce();
    } finally {
      removeEventListener("online", retry);
    }
  }

  async #connectOnce() {
    this.#become(ClientState.CONNECTING, null, null);
    const { url, token, channel } = this.#options;
    const hello = { token, channel, pipeline: this.#pipeline, resume: this.#resumeToken };
    const connection = new Connection(url, hello, (message) => this.#receive(message));
    this.#connection = connection;
    const end = await connection.run();
    this.#connection = null;
    this.#closeMedia();
    if (this.#state === ClientState.ENDED) return;
    if (end.retryAfterMs === null) {
      this.#become(ClientState.ENDED, end, null);
      return;
    }
    const retryInMs = Math.max(end.retryAfterMs, this.#backoff());
    this.#become(ClientState.RECONNECTING, end, retryInMs);
    await this.#pause(retryInMs);
  }

  /** With jitter, so that the clients of a restarted server do not all come in the same moment. */
  #backoff() {
    const pause = BACKOFF_MS[Math.min(this.#failures, BACKOFF_MS.length - 1)];
    this.#failures += 1;
    return pause * (0.8 + 0.4 * Math.random());
  }

  /** @param {number} ms */
  async #pause(ms) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    this.#wake = () => {};
  }

  /** @param {import("../shared/wire.js").ServerMessage} message */
  #receive(message) {
    switch (message.type) {
      case "welcome":
        this.#welcomed(message);
        return;
      case "result":
        this.#result(message);
        return;
      case "answer":
      case "candidate":
        this.#media?.receive(message);
        return;
      case "rate":
        this.#media?.receive(message);
        this.#emit("rate", message);
        return;
      case "event":
        if (message.event === "ocr") this.#emit("texts", message);
        else if (message.state === "media_failed") this.#media?.lost();
        else if (message.state === "degraded" || message.state === "ready") this.#emit("models", message.state);
        return;
      case "error":
        if (OFFER_REFUSED.has(message.code)) this.#media?.lost();
        this.#emit("notice", message);
    }
  }

  /** @param {import("../shared/wire.js").Welcome} welcome */
  #welcomed(welcome) {
    const connection = this.#connection;
    if (connection === null) return;
    this.#resumeToken = welcome.resume_token;
    this.#failures = 0;
    this.#emit("welcome", welcome);
    this.#emit("models", "ready"); // a server whose models are away says so at once
    const { track, channel } = this.#options;
    const wantResults = channel === "datachannel";
    this.#media = new MediaPath(track, connection.socket, welcome.ice_servers, wantResults, {
      send: (message) => connection.send(message),
      onResult: (text) => this.#resultText(text),
      onTransport: (transport) => this.#use(transport),
    });
    this.#media.setBackground(this.#background);
    this.#media.start();
  }

  /** @param {string} text */
  #resultText(text) {
    const message = decodeServerMessage(text);
    if (message?.type === "result") this.#result(message);
  }

  /** @param {import("../shared/wire.js").Result} result */
  #result(result) {
    const now = unixTime(performance.now());
    const captureTime = result.frame.capture_time_ms ?? now - (result.timing_ms.total ?? 0);
    this.#emit("result", { result, captureTime, ageMs: now - captureTime });
  }

  /** @param {import("../shared/transport.js").TransportValue} transport */
  #use(transport) {
    this.#transport = transport;
    this.#emit("transport", transport);
    if (transport !== Transport.NONE && this.#state === ClientState.CONNECTING) {
      this.#become(ClientState.LIVE, null, null);
    }
  }

  #closeMedia() {
    const media = this.#media;
    if (media === null) return;
    this.#sentBytes += media.sentBytes;
    this.#media = null;
    media.close();
    this.#use(Transport.NONE);
  }

  /**
   * @param {ClientStateValue} state
   * @param {import("./connection.js").End | null} end
   * @param {number | null} retryInMs
   */
  #become(state, end, retryInMs) {
    if (!TRANSITIONS[this.#state].includes(state)) throw new Error(`${this.#state} -> ${state}`);
    this.#state = state;
    this.#emit("state", { state, end, retryInMs });
  }

  /** @param {string} name @param {unknown} detail */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
