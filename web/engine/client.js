/**
 * The client of a mediaserver: give it a video track, get results. Imports nothing of the control page, so
 * that any page can use it:
 *
 *     const client = new InferenceClient({ url: "wss://example.org/ws/inference", track });
 *     client.addEventListener("result", ({ detail }) => console.log(detail.result.detections));
 *     client.start();
 *
 * It comes back by itself after a lost network or a restarted server, resumes its session, and goes over to
 * JPEG frames on the WebSocket where WebRTC gets no way through. A server that ends sends it to another one behind
 * the same address: it has results from there before it leaves.
 *
 * @module
 */

import { Transport } from "../shared/transport.js";
import { decodeServerMessage } from "../shared/wire.js";
import { unixTime } from "./capture_clock.js";
import { ClientState, TRANSITIONS } from "./client_state.js";
import { ComingBack } from "./coming_back.js";
import { Connection } from "./connection.js";
import { MediaPath } from "./media_path.js";

export { ClientState, Transport };

/** Answers to an offer that cannot work: no media path this way. */
const OFFER_REFUSED = new Set(["bad_sdp", "no_video", "unsupported_codec", "out_of_sockets"]);

/** For results of the session before that come while the next one begins. */
const SEQ_HEADROOM = 1000;

/**
 * @typedef {import("./client_state.js").ClientStateValue} ClientStateValue
 * @typedef {import("./coming_back.js").Resume} Resume
 *
 * @typedef {object} ClientOptions
 * @property {string} url ws: or wss: address of `/ws/inference`
 * @property {MediaStreamTrack} track Video. Stays the caller's: it is not stopped here.
 * @property {string | null} [token] Where the server asks for one.
 * @property {import("../shared/wire.js").PipelineConfig} [pipeline]
 * @property {"datachannel" | "websocket"} [channel] Where results come back.
 * @property {Resume | null} [resume] Leads to a session to go on with.
 * @property {boolean} [jpegOnly] Sends single pictures over the WebSocket, and tries no WebRTC.
 * @property {string | null} [watch] Name of a stream, or id of a session, of another's: its results come, and
 *   `track` is not sent.
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
 * `models` (`ModelsState`; `ready` at each `welcome`), `paused` (boolean: no pictures come from the track),
 * `degraded` (`Stage[]` that give way, as the server cannot keep up; none at each `welcome`),
 * `notice` (`ServerError` that ends nothing); with `watch` also `published` (whether the stream has a publisher).
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
  /** @type {{connection: Connection, media: MediaPath | null} | null} What serves on until the next session does. */
  #leaving = null;
  #comingBack;
  #seqFloor = 0;
  #newestSeq = 0;
  #lastEventId = 0;
  /** @type {number | null} The ping behind a trigger, whose answer tells that both have come; 0 while there is no socket. */
  #triggerPing = null;
  #background = false;
  #muted = false;
  #sentBytes = 0;

  /** @param {ClientOptions} options */
  constructor(options) {
    super();
    const channel = /** @type {const} */ ("datachannel");
    this.#options = { token: null, watch: null, jpegOnly: false, channel, ...options };
    this.#comingBack = new ComingBack(options.resume ?? null);
    this.#pipeline = { ...options.pipeline };
  }

  get state() {
    return this.#state;
  }

  get transport() {
    return this.#transport;
  }

  /** What of the video gets through. @returns {import("./media_path.js").Sending} */
  get sending() {
    return this.#media?.sending ?? { isNarrow: false, isBlocked: false, framerate: null };
  }

  /** Bytes of media and data sent since `start()`. */
  get sentBytes() {
    return this.#sentBytes + (this.#media?.sentBytes ?? 0) + (this.#leaving?.media?.sentBytes ?? 0);
  }

  /** Connects, and stays connected until `close()` or an end that no retry can help. */
  start() {
    if (this.#state === ClientState.IDLE) this.#run();
  }

  /** @param {import("../shared/wire.js").PipelineConfig} pipeline Only what changes. */
  configure(pipeline) {
    Object.assign(this.#pipeline, pipeline);
    this.#ask({ type: "configure", pipeline });
  }

  /** Runs OCR on the next frame, or as soon as there is a connection. */
  trigger() {
    if (this.#options.watch !== null) return;
    this.#ask({ type: "trigger", model: "ocr" });
    this.#triggerPing = this.#connection?.ping() ?? 0;
  }

  /**
   * Tells the server what the user sees, for its metrics.
   *
   * @param {number | null} renderFps
   * @param {number | null} resultAgeMs
   */
  report(renderFps, resultAgeMs) {
    this.#ask({ type: "report", render_fps: renderFps, result_age_ms: resultAgeMs });
  }

  /** @param {import("../shared/wire.js").ClientMessage} message Only for a session of one's own. */
  #ask(message) {
    if (this.#options.watch === null) this.#connection?.send(message);
  }

  /** @param {boolean} background The tab is hidden: send just enough to stay alive. */
  setBackground(background) {
    this.#background = background;
    this.#media?.setBackground(background);
    if (!background) this.retry();
  }

  /** @param {MediaStreamTrack} track Sent from now on in place of the last, in the same session. */
  replaceTrack(track) {
    this.#options.track = track;
    this.#media?.replaceTrack(track);
  }

  /** @param {boolean} muted The track gives black pictures: send none. */
  setMuted(muted) {
    this.#muted = muted;
    this.#media?.setMuted(muted);
  }

  /** @param {boolean} jpegOnly As in the options. */
  set jpegOnly(jpegOnly) {
    this.#options.jpegOnly = jpegOnly;
    this.#media?.setJpegOnly(jpegOnly);
  }

  /** Tries again now, if it waits to. */
  retry() {
    this.#comingBack.wake();
  }

  /** Ends the session; resolves when the server has let go of it. Idempotent. */
  async close() {
    if (this.#state === ClientState.ENDED) return;
    const connection = this.#connection;
    this.#become(ClientState.ENDED, null, null);
    this.retry();
    await connection?.close();
  }

  async #run() {
    const retry = () => this.retry();
    addEventListener("online", retry);
    try {
      while (this.#state !== ClientState.ENDED) await this.#connectOnce();
    } finally {
      removeEventListener("online", retry);
      this.#left();
      this.#closeMedia(); // it may have waited for the next connection
    }
  }

  async #connectOnce() {
    if (this.#leaving === null) this.#become(ClientState.CONNECTING, null, null);
    const { url, channel, watch } = this.#options;
    const token = this.#comingBack.tokenOr(this.#options.token);
    const keep_media = this.#media?.isAlive ?? false;
    const seq_floor = this.#newestSeq && this.#newestSeq + SEQ_HEADROOM;
    const resume = this.#comingBack.resumeToken;
    const last_event_id = resume === null ? null : this.#lastEventId;
    const hello = { token, channel, pipeline: this.#pipeline, resume, watch, keep_media, seq_floor, last_event_id };
    const connection = new Connection(url, hello, (message) => this.#hear(connection, message), this.#comingBack.node);
    this.#connection = connection;
    const end = await connection.run();
    this.#connection = null;
    this.#left();
    this.#comingBack.ended(end);
    if (end.moved) {
      if (this.#state === ClientState.LIVE && watch === null) {
        this.#leaving = { connection, media: this.#media };
        this.#media = null;
        connection.socket.addEventListener("close", () => this.#left(connection));
        return;
      }
      connection.release();
    }
    if (this.#state === ClientState.ENDED || end.retryAfterMs === null) this.#closeMedia();
    else this.#leaveMedia();
    if (this.#state === ClientState.ENDED) return;
    if (end.retryAfterMs === null) {
      this.#become(ClientState.ENDED, end, null);
      return;
    }
    const retryInMs = this.#comingBack.pauseAfter(end.refused, end.retryAfterMs);
    this.#become(ClientState.RECONNECTING, end, retryInMs);
    await this.#comingBack.pause(retryInMs);
  }

  /** What served on is of no use any more: the next session has its first result, or there is none. @param {Connection} [only] Where it is this one. */
  #left(only) {
    if (this.#leaving === null || (only ?? this.#leaving.connection) !== this.#leaving.connection) return;
    const { connection, media } = this.#leaving;
    this.#leaving = null;
    this.#sentBytes += media?.sentBytes ?? 0;
    media?.close();
    connection.release();
  }

  /**
   * @param {Connection} connection
   * @param {import("../shared/wire.js").ServerMessage} message
   */
  #hear(connection, message) {
    if (connection === this.#connection) this.#receive(message);
    else if (message.type === "result") this.#result(message);
  }

  /** @param {import("../shared/wire.js").ServerMessage} message */
  #receive(message) {
    switch (message.type) {
      case "welcome":
        this.#welcomed(message);
        return;
      case "watching":
        this.#comingBack.watching();
        this.#emit("welcome", { ...message, session: "" });
        this.#become(ClientState.LIVE, null, null);
        return;
      case "result":
        this.#media?.receive(message);
        this.#result(message);
        return;
      case "pong":
        if (message.id === this.#triggerPing) this.#triggerPing = null;
        this.#media?.receive(message);
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
        if (message.event === "ocr") this.#texts(message);
        else if (message.state === "media_failed") this.#media?.lost();
        else if (message.state === "published") this.#emit("published", true);
        else if (message.state === "unpublished") this.#emit("published", false);
        else this.#serverState(message.state, message.degraded);
        return;
      case "error":
        if (OFFER_REFUSED.has(message.code)) this.#media?.lost();
        this.#emit("notice", message);
    }
  }

  /**
   * @param {string | undefined} state It stands until the next one; a newer server may have others.
   * @param {import("../shared/wire.js").Stage[]} [degraded]
   */
  #serverState(state, degraded = []) {
    this.#emit("paused", state === "paused");
    this.#emit("degraded", degraded);
    if (state === "degraded" || state === "ready") this.#emit("models", state);
  }

  /** @param {import("../shared/wire.js").Welcome} welcome */
  #welcomed(welcome) {
    const connection = this.#connection;
    if (connection === null) return;
    this.#comingBack.welcomed(welcome);
    this.#seqFloor = welcome.seq_floor ?? 0;
    this.#emit("welcome", welcome);
    this.#serverState("ready"); // a server whose models are away says so at once
    if (this.#triggerPing !== null) this.trigger(); // it was lost with the last connection
    const { track, channel } = this.#options;
    const wantResults = channel === "datachannel";
    if (!welcome.resumed) this.#lastEventId = 0;
    // Numbers of a server that knows no floor begin anew.
    if (!welcome.resumed && this.#seqFloor < this.#newestSeq) this.#newestSeq = 0;
    if (this.#newestSeq === 0) this.#left();
    if (this.#media !== null && welcome.media_kept) {
      this.#media.attach(connection);
      this.#use(this.#transport);
      return;
    }
    this.#closeMedia();
    const media = new MediaPath(track, connection, welcome.ice_servers, wantResults, {
      onResult: (text) => this.#resultText(text),
      onTransport: (transport) => media === this.#media && this.#use(transport),
    });
    this.#media = media;
    this.#media.setBackground(this.#background);
    this.#media.setMuted(this.#muted);
    this.#media.start(this.#options.jpegOnly);
  }

  /** @param {import("../shared/wire.js").ServerEvent} event */
  #texts(event) {
    this.#lastEventId = event.id ?? 0;
    this.#emit("texts", event);
  }

  /** @param {string} text */
  #resultText(text) {
    const message = decodeServerMessage(text);
    if (message?.type === "result") this.#result(message);
  }

  /** @param {import("../shared/wire.js").Result} result */
  #result(result) {
    // Two ways lead here: what a newer one has overtaken is not new. Another's numbers may begin anew.
    if (this.#options.watch === null && result.seq <= this.#newestSeq) return;
    this.#newestSeq = result.seq;
    if (this.#leaving !== null && result.seq > this.#seqFloor && this.#media !== null) this.#left();
    const now = unixTime(performance.now());
    const { capture_time_ms: reported, capture_time_estimated: estimated } = result.frame;
    // Of another's frame it is told in another's clock.
    const told = estimated || this.#options.watch !== null ? null : reported;
    const captureTime = told ?? now - (result.timing_ms.total ?? 0);
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

  /** A peer connection that works goes on without the connection, and its results come. */
  #leaveMedia() {
    if (this.#media?.isAlive) this.#media.detach();
    else this.#closeMedia();
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
