/**
 * The engine's iframe from outside: loads it, watches that it lives, throws it away.
 *
 * @module
 */

import { ENGINE_MESSAGES, listen, post } from "../shared/bridge.js";

const ENGINE_URL = "engine/engine.html";
/** Signs of life come twice a second. A hidden tab's timers are slow, so none are asked for there. */
const SILENCE_MS = 4000;
const CHECK_MS = 1000;

/**
 * @typedef {import("../shared/bridge.js").EngineMessage} EngineMessage
 * @typedef {import("../shared/bridge.js").PageMessage} PageMessage
 */

/** Dispatches `message` (`CustomEvent<EngineMessage>`) and `lost`. */
export class EngineFrame extends EventTarget {
  #place;
  /** @type {HTMLIFrameElement} */
  #frame;
  /** @type {import("../shared/bridge.js").Start | null} Kept until the engine is ready for it. */
  #start = null;
  #ready = false;
  #started = false;
  #heardAt = 0;
  #watchedAt = 0;

  /** @param {HTMLElement} place Where the iframe goes. */
  constructor(place) {
    super();
    this.#place = place;
    this.#frame = this.#load();
    listen(() => this.#frame.contentWindow, ENGINE_MESSAGES, (/** @type {EngineMessage} */ message) => {
      this.#receive(message);
    });
    setInterval(() => this.#watch(), CHECK_MS);
  }

  /** @param {import("../shared/bridge.js").Start} start */
  start(start) {
    if (this.#started) this.reload();
    this.#started = true;
    this.#heardAt = performance.now();
    this.#start = start;
    this.#begin();
  }

  /** @param {PageMessage} message */
  send(message) {
    post(this.#frame.contentWindow, message);
  }

  /** A fresh engine; whatever the old one did has ended. */
  reload() {
    this.#ready = false;
    this.#started = false;
    this.#start = null;
    this.#frame.remove();
    this.#frame = this.#load();
  }

  #load() {
    const frame = document.createElement("iframe");
    frame.src = ENGINE_URL;
    frame.title = "Camera picture";
    frame.allow = "camera; display-capture; autoplay";
    this.#place.prepend(frame);
    return frame;
  }

  /** @param {EngineMessage} message */
  #receive(message) {
    this.#heardAt = performance.now();
    if (message.type === "ready") {
      this.#ready = true;
      this.#begin();
    } else if (message.type !== "alive") {
      this.dispatchEvent(new CustomEvent("message", { detail: message }));
    }
  }

  #begin() {
    if (!this.#ready || this.#start === null) return;
    this.send(this.#start);
    this.#start = null;
  }

  #watch() {
    const now = performance.now();
    // When this comes late itself, the laptop slept and the engine with it: its signs of life are still to come.
    const slept = now - this.#watchedAt > 2 * CHECK_MS;
    this.#watchedAt = now;
    if (document.hidden || slept) this.#heardAt = now;
    if (!this.#started || now - this.#heardAt < SILENCE_MS) return;
    this.reload();
    this.dispatchEvent(new Event("lost"));
  }
}
