/**
 * The iframe: one source, one client, one overlay. Talks to the page through `shared/bridge.js` only, and
 * is thrown away with its frame: everything here lives as long as the document.
 *
 * @module
 */

import { PAGE_MESSAGES, listen, post } from "../shared/bridge.js";
import { Failure, FailureCode } from "../shared/failure.js";
import { ClientState, InferenceClient } from "./client.js";
import { MedianMeter, RateMeter } from "./meter.js";
import { Overlay } from "./overlay.js";
import { openSource } from "./source.js";

const STATS_INTERVAL_MS = 500;
/** Each so many stats the server gets a report too. */
const REPORT_EVERY = 4;

const video = /** @type {HTMLVideoElement} */ (document.getElementById("video"));
const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("overlay"));

/** @param {import("../shared/bridge.js").EngineMessage} message */
function tell(message) {
  post(parent, message);
}

/** One run, from `start` to the end of the frame's life. */
class Engine {
  #startedAt;
  #source;
  #client;
  #overlay;
  #results = 0;
  #drops = 0;
  #ages = new MedianMeter();
  #renderRate = new RateMeter();
  #resultRate = new RateMeter();
  #dropRate = new RateMeter();
  #byteRate = new RateMeter();
  /** @type {Record<string, number>} */
  #timing = {};
  #reports = 0;
  #timer;

  /**
   * @param {import("./source.js").OpenSource} source
   * @param {import("../shared/bridge.js").Start} start
   * @param {number} startedAt `performance.now()` of the user's Start.
   */
  constructor(source, { url, token, pipeline, view }, startedAt) {
    this.#startedAt = startedAt;
    this.#source = source;
    video.srcObject = source.stream;
    this.#overlay = new Overlay(video, canvas);
    this.#overlay.view = view;
    this.#client = new InferenceClient({ url, token, pipeline, track: source.track });
    this.#follow();
    this.#client.setBackground(document.hidden);
    this.#client.start();
    source.track.addEventListener("ended", () => this.#fail(FailureCode.SOURCE_ENDED));
    document.addEventListener("visibilitychange", () => this.#client.setBackground(document.hidden));
    video.addEventListener("resize", () => this.#opened());
    this.#timer = setInterval(() => this.#tellStats(), STATS_INTERVAL_MS);
  }

  /** @param {import("../shared/bridge.js").PageMessage} message */
  receive(message) {
    switch (message.type) {
      case "stop":
        this.#stop();
        return;
      case "configure":
        this.#client.configure(message.pipeline);
        return;
      case "view":
        this.#overlay.view = message.view;
        return;
      case "trigger":
        this.#client.trigger();
        return;
      case "retry":
        this.#client.retry();
    }
  }

  /** @returns {Promise<void>} Resolves when the server has let go of the session. */
  async close() {
    clearInterval(this.#timer);
    this.#overlay.close();
    this.#source.close();
    video.srcObject = null;
    await this.#client.close();
  }

  async #stop() {
    await this.close();
    tell({ type: "state", state: ClientState.ENDED, code: null, detail: "", retryInMs: null });
  }

  #follow() {
    const client = this.#client;
    on(client, "state", (/** @type {import("./client.js").StateDetail} */ { state, end, retryInMs }) => {
      const closedHere = state === ClientState.ENDED && end === null; // `#stop` tells when it is done
      if (state === ClientState.IDLE || closedHere) return;
      tell({ type: "state", state, code: end?.code ?? null, detail: end?.detail ?? "", retryInMs });
    });
    on(client, "welcome", (/** @type {import("../shared/wire.js").Welcome} */ { session, models }) => {
      tell({ type: "welcome", session, models: Object.keys(models) });
    });
    on(client, "models", (/** @type {import("./client.js").ModelsState} */ state) => tell({ type: "models", state }));
    on(client, "transport", () => this.#tellStats());
    on(client, "notice", (/** @type {import("../shared/wire.js").ServerError} */ { code, message }) => {
      tell({ type: "notice", code, message });
    });
    on(client, "texts", (/** @type {import("../shared/wire.js").ServerEvent} */ { frame, texts }) => {
      const time = frame?.capture_time_ms ?? Date.now();
      this.#overlay.observeTexts(texts ?? [], Date.now());
      tell({ type: "texts", time, texts: (texts ?? []).map(({ text, score }) => ({ text, score })) });
    });
    on(client, "result", (/** @type {import("./client.js").ResultDetail} */ detail) => this.#observe(detail));
  }

  /** @param {import("./client.js").ResultDetail} detail */
  #observe(detail) {
    this.#overlay.observe(detail);
    this.#results += 1;
    this.#ages.add(detail.ageMs);
    this.#timing = detail.result.timing_ms;
    this.#drops = Object.values(detail.result.dropped).reduce((sum, count) => sum + count, 0);
  }

  #opened() {
    tell({ type: "opened", width: video.videoWidth, height: video.videoHeight });
  }

  #tellStats() {
    const { drawn, objects, firstDrawnAt } = this.#overlay;
    const renderFps = this.#renderRate.sample(drawn);
    const resultAgeMs = this.#ages.median();
    tell({
      type: "stats",
      transport: this.#client.transport,
      renderFps,
      inferenceFps: this.#resultRate.sample(this.#results),
      resultAgeMs,
      drops: this.#dropRate.sample(this.#drops),
      bitrate: 8 * this.#byteRate.sample(this.#client.sentBytes),
      objects,
      firstBoxMs: firstDrawnAt === null ? null : firstDrawnAt - this.#startedAt,
      timing_ms: this.#timing,
    });
    if (++this.#reports % REPORT_EVERY === 0) this.#client.report(renderFps, resultAgeMs);
  }

  /** @param {import("../shared/failure.js").FailureCodeValue} code */
  #fail(code) {
    tell({ type: "failed", code, detail: "" });
    this.close();
  }
}

/**
 * @template D
 * @param {EventTarget} target
 * @param {string} name
 * @param {(detail: D) => void} listener
 */
function on(target, name, listener) {
  target.addEventListener(name, (event) => listener(/** @type {CustomEvent<D>} */ (event).detail));
}

/** @type {Promise<Engine> | null} */
let engine = null;

/** @param {import("../shared/bridge.js").Start} start */
async function begin(start) {
  const startedAt = performance.now();
  try {
    return new Engine(await openSource(start.source), start, startedAt);
  } catch (error) {
    const code = error instanceof Failure ? error.code : FailureCode.ENGINE_LOST;
    tell({ type: "failed", code, detail: String(error) });
    throw error;
  }
}

listen(() => parent, PAGE_MESSAGES, (/** @type {import("../shared/bridge.js").PageMessage} */ message) => {
  if (message.type === "start") engine ??= begin(message);
  else engine?.then((running) => running.receive(message), () => {}); // a failed start has told why
});
setInterval(() => tell({ type: "alive" }), STATS_INTERVAL_MS);
tell({ type: "ready" });
