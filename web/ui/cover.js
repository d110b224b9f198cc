/**
 * What lies over the picture: the invitation, what is being waited for, what went wrong and the way out.
 *
 * @module
 */

import { NetworkTrouble } from "../shared/bridge.js";
import { canvasReadsBack } from "../shared/canvas_readback.js";
import { FailureCode } from "../shared/failure.js";
import { element } from "./element.js";
import { PageState } from "./state.js";
import { WORDS, clockWords, failureWords, networkWords } from "./words.js";

/** @type {Set<string>} Of these the service that runs the GPU machine tells in words for people. */
const OF_MACHINE = new Set([FailureCode.GPU_FAILED, FailureCode.GPU_RUNS_ON]);

/** @type {Set<string>} Here another source is a way on. */
const OF_CAMERA = new Set([
  FailureCode.INSECURE_ORIGIN,
  FailureCode.NO_CAMERA,
  FailureCode.CAMERA_DENIED,
  FailureCode.CAMERA_BUSY,
  FailureCode.SOURCE_UNSUPPORTED,
]);
/** @type {Set<string>} Here a key is asked for. */
const OF_KEY = new Set([FailureCode.UNAUTHORIZED, FailureCode.KEY_NEEDED]);

/** @type {Set<import("./state.js").PageStateValue>} The reason of these stands over the picture. */
const TROUBLED = new Set([PageState.RECONNECTING, PageState.DEGRADED, PageState.PAUSED]);

/** Long enough to read; from then on the badge says it. */
const BRIDGED_MS = 8000;
const TOLD_MS = 8000;

export class Cover {
  #machine;
  #title = element("cover-title", HTMLElement);
  #advice = element("cover-advice", HTMLElement);
  #button = element("cover-button", HTMLButtonElement);
  #keyForm = element("key-form", HTMLElement);
  #toast = element("toast", HTMLElement);
  #toastWords = element("toast-words", HTMLElement);
  #retry = element("retry", HTMLElement);
  #others = element("others", HTMLElement);
  #source = "camera";
  #networkWords = "";
  #isBlocked = false;
  #opened = false;
  #readsBack = true;
  #jpegOnly = false;
  #tap = false;
  #told = { code: "", until: -Infinity };
  /** @type {number | null} Since when JPEG frames stand in for WebRTC, `performance.now()`. */
  #bridgedAt = null;

  #sources = element("cover-sources", HTMLElement);
  #synthetic;

  /**
   * @param {import("./state.js").PageMachine} machine
   * @param {boolean} synthetic The server's models know drawn scenes only, as the sample is one.
   * @param {(source: string) => void} onSource One is chosen here.
   */
  constructor(machine, synthetic, onSource) {
    this.#machine = machine;
    this.#synthetic = synthetic;
    const sample = this.#sources.querySelector('[value="sample"]')?.parentElement;
    if (synthetic && sample) this.#sources.prepend(sample);
    this.#sources.addEventListener("change", ({ target }) => {
      if (target instanceof HTMLInputElement) onSource(target.value);
    });
    machine.addEventListener("change", () => this.#show());
    this.#show();
    setInterval(() => this.#show(), 1000); // the countdowns
  }

  /** @param {string} source */
  set source(source) {
    this.#source = source;
    for (const choice of this.#sources.querySelectorAll("input")) choice.checked = choice.value === source;
    this.#show();
  }

  /** @param {boolean} opened The source plays; until then the browser may be asking the user. */
  set opened(opened) {
    this.#opened = opened;
    this.#show();
  }

  /** @param {boolean} jpegOnly JPEG frames are what the user has chosen. */
  set jpegOnly(jpegOnly) {
    this.#jpegOnly = jpegOnly;
    this.#showToast();
  }

  /** @param {boolean} tap The browser plays only after a tap on the picture, which is not covered then. */
  set tap(tap) {
    this.#tap = tap;
    document.body.toggleAttribute("data-tap", tap);
    this.#showToast();
  }

  /** @param {string} code Of what went wrong, and ended nothing. */
  tell(code) {
    this.#told = { code, until: performance.now() + TOLD_MS };
    this.#showToast();
  }

  /** @param {boolean} bridged JPEG frames stand in for WebRTC. */
  set bridged(bridged) {
    if (bridged && this.#bridgedAt === null) this.#checkReadback();
    this.#bridgedAt = bridged ? (this.#bridgedAt ?? performance.now()) : null;
    this.#show();
  }

  /** @param {import("../shared/bridge.js").Stats} stats */
  set network({ network, sendingFps, resultAgeMs }) {
    this.#networkWords = networkWords(network, sendingFps, resultAgeMs);
    const isBlocked = network === NetworkTrouble.BLOCKED;
    if (isBlocked && !this.#isBlocked && this.#bridgedAt !== null) this.#bridgedAt = performance.now(); // to be read
    this.#isBlocked = isBlocked;
    this.#showToast();
  }

  async #checkReadback() {
    this.#readsBack = await canvasReadsBack();
    this.#show();
  }

  #show() {
    const { state, reason } = this.#machine;
    this.#showToast();
    switch (state) {
      case PageState.IDLE:
        this.#write(
          WORDS.page.invitation,
          this.#synthetic ? WORDS.drawnFirst : WORDS.page.promise,
          WORDS.starts[this.#source] ?? WORDS.starts.camera,
        );
        this.#sources.hidden = false;
        return;
      case PageState.FAILED: {
        const { title, button } = failureWords(reason?.code ?? "");
        this.#write(title, adviceWords(reason), button ?? WORDS.unknown.button);
        this.#keyForm.hidden = !OF_KEY.has(reason?.code ?? "");
        this.#others.hidden = !OF_CAMERA.has(reason?.code ?? "");
        return;
      }
      default:
        this.#write(WORDS.states[state], this.#waitingWords(reason), null);
    }
  }

  /** @param {import("./state.js").Reason | null} reason */
  #waitingWords(reason) {
    if (reason === null) return this.#openingWords();
    const left = reason.retryAt === null ? 0 : reason.retryAt - performance.now();
    return left > 0 ? `${reason.detail} ${WORDS.toGo(clockWords(left))}` : reason.detail;
  }

  #openingWords() {
    const asks = this.#machine.state === PageState.CONNECTING && !this.#opened;
    const source = this.#source in WORDS.starts ? this.#source : "camera";
    return asks ? (WORDS.opening[source] ?? "") : "";
  }

  #bridgedWords() {
    if (!this.#readsBack) return WORDS.bridged.blank;
    if (typeof RTCPeerConnection === "undefined") return WORDS.bridged.noWebrtc;
    return this.#isBlocked ? WORDS.bridged.blocked : WORDS.bridged.silent;
  }

  /** @param {string} title @param {string} advice @param {string | null} button */
  #write(title, advice, button) {
    setText(this.#title, title);
    setText(this.#advice, advice);
    setText(this.#button, button ?? "");
    if (button === null && document.activeElement === this.#button) element("start-stop", HTMLElement).focus();
    this.#button.hidden = button === null;
    this.#button.disabled = false; // it is in the HTML, until this page listens
    this.#keyForm.hidden = true;
    this.#others.hidden = true;
    this.#sources.hidden = true;
  }

  #showToast() {
    const words = this.#toastNow();
    this.#toast.hidden = words === "";
    this.#retry.hidden = this.#machine.state !== PageState.RECONNECTING || this.#tap;
    setText(this.#toastWords, words);
  }

  /** @returns {string} What is most worth saying over the picture; "" where nothing is. */
  #toastNow() {
    const { state, reason } = this.#machine;
    if (state === PageState.IDLE || state === PageState.FAILED || state === PageState.STOPPING) return "";
    if (this.#tap) return WORDS.tap;
    if (TROUBLED.has(state)) return retryWords(reason);
    if (performance.now() < this.#told.until) return titleAndAdvice(this.#told.code);
    if (state !== PageState.LIVE) return "";
    const bridged = this.#bridgedAt !== null && !this.#jpegOnly && performance.now() - this.#bridgedAt < BRIDGED_MS;
    const blank = this.#bridgedAt !== null && !this.#readsBack;
    return bridged || blank ? this.#bridgedWords() : this.#networkWords;
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
  const words = titleAndAdvice(reason?.code ?? FailureCode.CONNECTION_LOST);
  const left = (reason?.retryAt ?? 0) - performance.now();
  return left > 2000 ? `${words} ${WORDS.nextTry(Math.ceil(left / 1000))}` : words;
}

/** @param {string} code */
function titleAndAdvice(code) {
  const { title, advice } = failureWords(code);
  return `${title}. ${advice}`;
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
