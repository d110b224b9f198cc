/**
 * The iframe: one source, one client, one overlay. Talks to the page through `shared/bridge.js` only, and
 * is thrown away with its frame: everything here lives as long as the document.
 *
 * @module
 */

import { PAGE_MESSAGES, listen, post } from "../shared/bridge.js";
import { Failure, FailureCode } from "../shared/failure.js";
import { ClientState, InferenceClient } from "./client.js";
import { Counting } from "./counting.js";
import { PERSON } from "./findings.js";
import { MedianMeter, RateMeter } from "./meter.js";
import { NetworkWatch } from "./network_watch.js";
import { Overlay } from "./overlay.js";
import { Picture } from "./picture.js";
import { RegionPen } from "./region_pen.js";
import { listCameras, openSource } from "./source.js";

const STATS_INTERVAL_MS = 500;
/** Each so many stats the server gets a report too. */
const REPORT_EVERY = 4;

const video = /** @type {HTMLVideoElement} */ (document.getElementById("video"));
const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("overlay"));

/** @param {import("../shared/bridge.js").EngineMessage} message */
function tell(message) {
  post(parent, message);
}

/** @param {boolean} needed */
function tellTap(needed) {
  tell({ type: "tap", needed });
}

/** Firefox and Safari name them in the very document that was allowed one, and in no other. */
async function tellCameras() {
  tell({ type: "cameras", cameras: await listCameras() });
}

/** One run, from `start` to the end of the frame's life. */
class Engine {
  #startedAt;
  #picture;
  #client;
  #overlay;
  #isPaused = false;
  #isUnpublished = false;
  #results = 0;
  #drops = 0;
  #ages = new MedianMeter();
  #renderRate = new RateMeter();
  #resultRate = new RateMeter();
  #dropRate = new RateMeter();
  #byteRate = new RateMeter();
  /** @type {Record<string, number>} */
  #timing = {};
  #networkWatch = new NetworkWatch();
  #reports = 0;
  /** @type {Counting | null} */
  #counting = null;
  #pen;
  /** @type {readonly string[]} */
  #hidden;
  /** @type {string[]} */
  #lines = [];
  #timer;

  /**
   * @param {import("./source.js").OpenSource} source
   * @param {import("../shared/bridge.js").Start} start
   * @param {number} startedAt `performance.now()` of the user's Start.
   */
  constructor(source, { view, source: wanted, ...start }, startedAt) {
    this.#startedAt = startedAt;
    this.#picture = new Picture(video, wanted, source, tellTap);
    this.#overlay = new Overlay(video, canvas);
    this.#overlay.view = view;
    this.#overlay.words = start.words;
    this.#hidden = view.hidden ?? [];
    this.#pen = new RegionPen(canvas, (x, y) => this.#overlay.toFrame(x, y), (points, done) => this.#drawn(points, done));
    const watch = wanted.kind === "watch" ? wanted.name : null;
    this.#client = new InferenceClient({ ...start, track: source.track, watch });
    this.#follow();
    this.#followPicture();
    this.#client.setBackground(document.hidden);
    this.#client.setMuted(this.#picture.isMuted);
    this.#client.start();
    document.addEventListener("visibilitychange", () => this.#client.setBackground(document.hidden));
    for (const event of ["loadedmetadata", "resize"]) video.addEventListener(event, () => this.#opened());
    this.#timer = setInterval(() => this.#tellStats(), STATS_INTERVAL_MS);
    navigator.mediaDevices?.addEventListener("devicechange", tellCameras);
    tellCameras();
  }

  /** @param {import("../shared/bridge.js").PageMessage} message */
  receive(message) {
    switch (message.type) {
      case "stop":
        this.#stop();
        return;
      case "source":
        this.#change(message.source);
        return;
      case "transport":
        this.#client.jpegOnly = message.jpegOnly;
        return;
      case "configure":
        this.#client.configure(message.pipeline);
        return;
      case "view":
        this.#overlay.view = message.view;
        this.#hidden = message.view.hidden ?? [];
        return;
      case "film":
        this.#picture.filmPaused = message.paused;
        return;
      case "seek":
        this.#picture.seek(message.time);
        this.#overlay.clear();
        return;
      case "region":
        this.#pen.enabled = message.drawing && message.region !== null;
        this.#count(message.region);
        return;
      case "snapshot":
        this.#tellSnapshot();
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
    navigator.mediaDevices?.removeEventListener("devicechange", tellCameras);
    this.#overlay.close();
    this.#picture.close();
    await this.#client.close();
  }

  async #stop() {
    await this.close();
    tell({ type: "state", state: ClientState.ENDED, code: null, detail: "", retryInMs: null });
  }

  /** @param {import("../shared/bridge.js").Source} source */
  async #change(source) {
    try {
      await this.#picture.change(source);
      tellCameras();
    } catch (error) {
      const code = error instanceof Failure ? error.code : FailureCode.SOURCE_UNSUPPORTED;
      if (this.#picture.track.readyState === "ended") this.#fail(code);
      else tell({ type: "kept", code, detail: String(error) });
    }
  }

  /** @param {import("../shared/bridge.js").Region | null} region */
  #count(region) {
    const { shape, points } = this.#overlay.region ?? {};
    const isSame = region?.shape === shape && String(region?.points) === String(points);
    this.#overlay.region = region;
    if (!isSame) this.#counting = region === null ? null : new Counting(region);
  }

  /** @param {number[]} points @param {boolean} done */
  #drawn(points, done) {
    if (this.#overlay.region === null) return;
    if (done) tell({ type: "drawn", points }); // the page answers with the region
    else this.#overlay.region = { ...this.#overlay.region, points };
  }

  async #tellSnapshot() {
    const picture = await this.#overlay.snapshot();
    if (picture !== null) tell({ type: "snapshot", picture });
  }

  #followPicture() {
    const picture = this.#picture;
    on(picture, "track", (/** @type {MediaStreamTrack} */ track) => {
      this.#overlay.clear();
      if (this.#counting !== null) this.#counting.forget();
      this.#client.replaceTrack(track);
    });
    on(picture, "ended", () => this.#fail(FailureCode.SOURCE_ENDED));
    on(picture, "blocked", (/** @type {Failure} */ { code }) => this.#fail(code));
    on(picture, "muted", (/** @type {boolean} */ muted) => {
      this.#client.setMuted(muted);
      this.#tellPause();
    });
  }

  /** The nearest cause counts: a server that gets no pictures does not know why. */
  #tellPause() {
    const code = this.#picture.isMuted
      ? FailureCode.SOURCE_MUTED
      : this.#isUnpublished
        ? FailureCode.STREAM_UNPUBLISHED
        : FailureCode.SOURCE_PAUSED;
    tell({ type: "paused", paused: this.#picture.isMuted || this.#isUnpublished || this.#isPaused, code });
  }

  #follow() {
    const client = this.#client;
    on(client, "state", (/** @type {import("./client.js").StateDetail} */ { state, end, retryInMs }) => {
      const closedHere = state === ClientState.ENDED && end === null; // `#stop` tells when it is done
      if (state === ClientState.IDLE || closedHere) return;
      tell({ type: "state", state, code: end?.code ?? null, detail: end?.detail ?? "", retryInMs });
    });
    on(client, "welcome", (/** @type {import("../shared/wire.js").Welcome} */ welcome) => {
      const { session, models, engine: runner = "", resume_token: token, node = null } = welcome;
      const resume = token === undefined ? null : { token, node }; // who watches another's stream has nothing to resume
      tell({ type: "welcome", session, models, engine: runner, resume });
    });
    on(client, "models", (/** @type {import("./client.js").ModelsState} */ state) => tell({ type: "models", state }));
    on(client, "degraded", (/** @type {import("../shared/wire.js").Stage[]} */ stages) => {
      tell({ type: "degraded", stages });
    });
    on(client, "paused", (/** @type {boolean} */ paused) => {
      this.#isPaused = paused;
      this.#tellPause();
    });
    on(client, "transport", () => this.#tellStats());
    on(client, "notice", (/** @type {import("../shared/wire.js").ServerError} */ { code, message }) => {
      tell({ type: "notice", code, message });
    });
    on(client, "published", (/** @type {boolean} */ published) => {
      this.#isUnpublished = !published;
      this.#tellPause();
    });
    on(client, "texts", (/** @type {import("../shared/wire.js").ServerEvent} */ event) => {
      const { frame, texts } = event;
      const time = (frame?.capture_time_estimated ? null : frame?.capture_time_ms) ?? Date.now();
      this.#overlay.observeTexts(texts ?? [], time, Date.now());
      this.#keep(event, time);
      tell({ type: "texts", time, texts: (texts ?? []).map(({ id, text, score }) => ({ id, text, score })) });
    });
    on(client, "result", (/** @type {import("./client.js").ResultDetail} */ detail) => this.#observe(detail));
  }

  /** @param {import("./client.js").ResultDetail} detail */
  #observe(detail) {
    this.#picture.fit(detail.result.frame);
    this.#overlay.observe(detail);
    this.#keep(detail.result, detail.captureTime);
    const { detections, poses, segments } = detail.result;
    const things = detections ?? poses ?? segments ?? [];
    this.#counting?.observe(detail.captureTime, things.filter((thing) => !this.#hidden.includes(labelOf(thing))));
    this.#results += 1;
    this.#ages.add(detail.ageMs);
    this.#timing = detail.result.timing_ms;
    this.#drops = Object.values(detail.result.dropped).reduce((sum, count) => sum + count, 0);
  }

  /** @param {object} message @param {number} captureTime Unix ms. */
  #keep(message, captureTime) {
    this.#lines.push(JSON.stringify({ ...message, captured: new Date(captureTime).toISOString() }));
  }

  #opened() {
    const { videoWidth: width, videoHeight: height } = video;
    if (width > 0) tell({ type: "opened", width, height, facing: this.#picture.facing });
  }

  #tellStats() {
    const { drawn, objects, counts, firstDrawnAt } = this.#overlay;
    const renderFps = this.#renderRate.sample(drawn);
    const resultAgeMs = this.#ages.median();
    const sending = this.#client.sending;
    tell({
      type: "stats",
      transport: this.#client.transport,
      network: this.#networkWatch.observe(sending, resultAgeMs, this.#timing.total ?? 0, performance.now()),
      sendingFps: sending.framerate ?? 0,
      renderFps,
      inferenceFps: this.#resultRate.sample(this.#results),
      resultAgeMs,
      drops: this.#dropRate.sample(this.#drops),
      bitrate: 8 * this.#byteRate.sample(this.#client.sentBytes),
      objects,
      counts,
      firstBoxMs: firstDrawnAt === null ? null : firstDrawnAt - this.#startedAt,
      timing_ms: this.#timing,
      lines: this.#lines.splice(0),
      film: this.#picture.film,
      crossings: this.#counting?.crossings ?? null,
    });
    if (++this.#reports % REPORT_EVERY === 0) this.#client.report(renderFps, resultAgeMs);
  }

  /** @param {import("../shared/failure.js").FailureCodeValue} code */
  #fail(code) {
    tell({ type: "failed", code, detail: "" });
    this.close();
  }
}

/** @param {object} thing Poses have no label. */
function labelOf(thing) {
  return "label" in thing ? String(thing.label) : PERSON;
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

/** @type {Promise<Engine | null> | null} Of null where it cannot start, which it has told. */
let engine = null;

/** @param {import("../shared/bridge.js").Start} start */
async function begin(start) {
  canvas.setAttribute("aria-label", start.words.overlay);
  document.getElementById("play")?.setAttribute("aria-label", start.words.play);
  const startedAt = performance.now();
  try {
    return new Engine(await openSource(start.source, tellTap), start, startedAt);
  } catch (error) {
    const code = error instanceof Failure ? error.code : FailureCode.ENGINE_LOST;
    tell({ type: "failed", code, detail: String(error) });
    return null;
  }
}

listen(() => parent, PAGE_MESSAGES, (/** @type {import("../shared/bridge.js").PageMessage} */ message) => {
  if (message.type === "start") engine ??= begin(message);
  else engine?.then((running) => running?.receive(message));
});
setInterval(() => tell({ type: "alive" }), STATS_INTERVAL_MS);
tell({ type: "ready" });
