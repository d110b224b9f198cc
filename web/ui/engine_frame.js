/**
 * The engine's iframe from outside: loads it, watches that it lives, loads another in its place.
 *
 * @module
 */

import { ENGINE_MESSAGES, listen, post } from "../shared/bridge.js";
import { timeoutSignal } from "../shared/timeout_signal.js";
import { WORDS } from "./words.js";

const ENGINE_URL = "engine/engine.html";
/**
 * Signs of life come twice a second. A busy machine may open a camera for some seconds, in which none come. A
 * hidden tab's timers are slow, so none are asked for there.
 */
const SILENCE_MS = 8000;
const CHECK_MS = 1000;
/** A document that has loaded has said so by then; the browser's own error page says nothing. */
const READY_MS = 1000;
const LOAD_MS = 15_000;
const PROBE_MS = 3000;

/**
 * @typedef {import("../shared/bridge.js").EngineMessage} EngineMessage
 * @typedef {import("../shared/bridge.js").PageMessage} PageMessage
 */

const Phase = Object.freeze({ LOADING: "loading", READY: "ready", RUNNING: "running", ABSENT: "absent" });

/**
 * Dispatches `message` (`CustomEvent<EngineMessage>`), `lost` where an engine that was started answers no more, and
 * `away` where one that is wanted cannot be loaded, as nobody serves it.
 */
export class EngineFrame extends EventTarget {
  #frame = document.createElement("iframe");
  /** @type {typeof Phase[keyof typeof Phase]} */
  #phase = Phase.LOADING;
  /** @type {import("../shared/bridge.js").Start | null} Kept until the engine is ready for it. */
  #start = null;
  #loads = 0;
  #loadedAt = 0;
  #heardAt = 0;
  #watchedAt = 0;

  /** @param {HTMLElement} place Where the iframe goes. */
  constructor(place) {
    super();
    this.#frame.title = WORDS.engine.frame;
    this.#frame.allow = "camera; display-capture; autoplay";
    this.#frame.addEventListener("load", () => this.#shown());
    this.#frame.src = ENGINE_URL;
    this.#loadedAt = performance.now();
    place.prepend(this.#frame);
    listen(() => this.#frame.contentWindow, ENGINE_MESSAGES, (/** @type {EngineMessage} */ message) => {
      this.#receive(message);
    });
    setInterval(() => this.#watch(), CHECK_MS);
  }

  /** @param {import("../shared/bridge.js").Start} start */
  start(start) {
    if (this.#phase === Phase.RUNNING || this.#phase === Phase.ABSENT) this.#load();
    this.#start = start;
    this.#begin();
  }

  /** @param {PageMessage} message */
  send(message) {
    post(this.#frame.contentWindow, message);
  }

  /** A fresh engine; whatever the old one did has ended, and none is wanted until `start`. */
  reload() {
    this.#start = null;
    this.#load();
  }

  /** The frame stays: iOS asks for the camera anew in each new one. */
  #load() {
    this.#phase = Phase.LOADING;
    this.#loads += 1;
    this.#loadedAt = performance.now();
    this.#frame.contentWindow?.location.replace(new URL(ENGINE_URL, location.href)); // no step of the history
  }

  /** The frame shows a document: ours, or the browser's words on why it does not. */
  #shown() {
    const load = this.#loads;
    setTimeout(() => {
      if (load === this.#loads && this.#phase === Phase.LOADING) this.#notLoaded();
    }, READY_MS);
  }

  async #notLoaded() {
    this.#phase = Phase.ABSENT;
    if (this.#start === null) return; // it is loaded again when it is wanted
    const load = this.#loads;
    const served = await isServed();
    if (load === this.#loads) this.dispatchEvent(new Event(served ? "lost" : "away"));
  }

  /** @param {EngineMessage} message */
  #receive(message) {
    this.#heardAt = performance.now();
    if (message.type === "ready") {
      const lost = this.#phase === Phase.RUNNING; // this one is another, which knows of nothing
      this.#phase = Phase.READY;
      if (lost) this.dispatchEvent(new Event("lost"));
      else this.#begin();
    } else if (this.#phase === Phase.RUNNING && message.type !== "alive") {
      this.dispatchEvent(new CustomEvent("message", { detail: message }));
    }
  }

  #begin() {
    if (this.#phase !== Phase.READY || this.#start === null) return;
    this.#phase = Phase.RUNNING;
    this.#heardAt = performance.now();
    this.send(this.#start);
    this.#start = null;
  }

  #watch() {
    const now = performance.now();
    // When this comes late itself, the laptop slept and the engine with it: its signs of life are still to come.
    const slept = now - this.#watchedAt > 2 * CHECK_MS;
    this.#watchedAt = now;
    if (document.hidden || slept) this.#heardAt = this.#loadedAt = now;
    if (this.#phase === Phase.LOADING && now - this.#loadedAt > LOAD_MS) this.#notLoaded();
    if (this.#phase !== Phase.RUNNING || now - this.#heardAt < SILENCE_MS) return;
    this.reload();
    this.dispatchEvent(new Event("lost"));
  }
}

/** Whether there is an engine to be loaded. */
async function isServed() {
  try {
    return (await fetch(ENGINE_URL, { cache: "no-store", signal: timeoutSignal(PROBE_MS) })).ok;
  } catch {
    return false;
  }
}
