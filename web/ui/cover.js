/**
 * What lies over the picture: the invitation, what is being waited for, what went wrong and the way out.
 *
 * @module
 */

import { FailureCode } from "../shared/failure.js";
import { element } from "./element.js";
import { PageState } from "./state.js";
import { STATE_WORDS, clockWords, failureWords } from "./words.js";

/** @type {Record<string, string>} By source; another camera is called by its id. */
const START_WORDS = {
  camera: "Start camera",
  screen: "Share the screen",
  file: "Choose a file",
  sample: "Play the sample",
};

/** @type {Set<string>} Of these the service that runs the GPU machine tells in words for people. */
const OF_MACHINE = new Set([FailureCode.GPU_FAILED, FailureCode.GPU_RUNS_ON]);

const BRIDGED_WORDS = "UDP is blocked here: single pictures go over the WebSocket, fewer a second.";
/** Long enough to read; from then on the badge says it. */
const BRIDGED_MS = 8000;

export class Cover {
  #machine;
  #invitation;
  #title = element("cover-title", HTMLElement);
  #advice = element("cover-advice", HTMLElement);
  #button = element("cover-button", HTMLButtonElement);
  #keyForm = element("key-form", HTMLElement);
  #toast = element("toast", HTMLElement);
  #toastWords = element("toast-words", HTMLElement);
  #retry = element("retry", HTMLElement);
  #source = "camera";
  /** @type {number | null} Since when JPEG frames stand in for WebRTC, `performance.now()`. */
  #bridgedAt = null;

  /** @param {import("./state.js").PageMachine} machine */
  constructor(machine) {
    this.#machine = machine;
    this.#invitation = { title: this.#title.textContent ?? "", advice: this.#advice.textContent ?? "" };
    machine.addEventListener("change", () => this.#show());
    this.#show();
    setInterval(() => this.#show(), 1000); // the countdowns
  }

  /** @param {string} source */
  set source(source) {
    this.#source = source;
    this.#show();
  }

  /** @param {boolean} bridged JPEG frames stand in for WebRTC. */
  set bridged(bridged) {
    this.#bridgedAt = bridged ? (this.#bridgedAt ?? performance.now()) : null;
    this.#show();
  }

  #show() {
    const { state, reason } = this.#machine;
    this.#showToast();
    switch (state) {
      case PageState.IDLE:
        this.#write(this.#invitation.title, this.#invitation.advice, START_WORDS[this.#source] ?? START_WORDS.camera);
        return;
      case PageState.FAILED: {
        const { title, button } = failureWords(reason?.code ?? "");
        this.#write(title, adviceWords(reason), button ?? "Try again");
        this.#keyForm.hidden = reason?.code !== FailureCode.UNAUTHORIZED;
        return;
      }
      default:
        this.#write(STATE_WORDS[state], this.#waitingWords(reason), null);
    }
  }

  /** @param {import("./state.js").Reason | null} reason */
  #waitingWords(reason) {
    if (reason === null) return "";
    const left = reason.retryAt === null ? 0 : reason.retryAt - performance.now();
    return left > 0 ? `${reason.detail} About ${clockWords(left)} to go.` : reason.detail;
  }

  /** @param {string} title @param {string} advice @param {string | null} button */
  #write(title, advice, button) {
    setText(this.#title, title);
    setText(this.#advice, advice);
    setText(this.#button, button ?? "");
    this.#button.hidden = button === null;
    this.#button.disabled = false; // it is in the HTML, until this page listens
    this.#keyForm.hidden = true;
  }

  #showToast() {
    const { state, reason } = this.#machine;
    const reconnecting = state === PageState.RECONNECTING;
    const troubled = reconnecting || state === PageState.DEGRADED;
    const bridged =
      state === PageState.LIVE && this.#bridgedAt !== null && performance.now() - this.#bridgedAt < BRIDGED_MS;
    this.#toast.hidden = !troubled && !bridged;
    this.#retry.hidden = !reconnecting;
    setText(this.#toastWords, troubled ? retryWords(reason) : bridged ? BRIDGED_WORDS : "");
  }
}

/** @param {import("./state.js").Reason | null} reason */
function adviceWords(reason) {
  const { code = "", detail = "" } = reason ?? {};
  const { advice } = failureWords(code);
  if (detail === "") return advice;
  if (code === FailureCode.UNAUTHORIZED) return `${detail[0].toUpperCase()}${detail.slice(1)}. ${advice}`;
  return OF_MACHINE.has(code) ? detail : advice;
}

/** @param {import("./state.js").Reason | null} reason */
function retryWords(reason) {
  const { title, advice } = failureWords(reason?.code ?? FailureCode.CONNECTION_LOST);
  const left = (reason?.retryAt ?? 0) - performance.now();
  const seconds = Math.ceil(left / 1000);
  return left > 2000 ? `${title}. ${advice} Next try in ${seconds} s.` : `${title}. ${advice}`;
}

/**
 * Written only when new: a screen reader reads a live region at each change.
 *
 * @param {HTMLElement} target
 * @param {string} text
 */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
