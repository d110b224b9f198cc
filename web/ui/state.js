/**
 * What the page is doing: one enum, one table.
 *
 * @module
 */

export const PageState = Object.freeze({
  IDLE: "idle",
  STARTING_GPU: "starting_gpu",
  WAITING: "waiting",
  CONNECTING: "connecting",
  LIVE: "live",
  DEGRADED: "degraded",
  PAUSED: "paused",
  RECONNECTING: "reconnecting",
  STOPPING: "stopping",
  FAILED: "failed",
});

/** @typedef {typeof PageState[keyof typeof PageState]} PageStateValue */

/** @typedef {"startGpu" | "gpuAccepted" | "connect" | "live" | "degraded" | "paused" | "lost" | "renew" | "stop" | "stopped" | "fail"
 *   | "refused"} PageEvent */

/** What may happen to any run in progress. */
const RUNNING = /** @type {const} */ ({ stop: "stopping", fail: "failed" });

/**
 * What is not here does not happen: a message that comes late, from an engine that was stopped, changes nothing.
 *
 * @type {Record<PageStateValue, Partial<Record<PageEvent, PageStateValue>>>}
 */
const TRANSITIONS = {
  // Start, with a GPU machine to be started first, or with none; or the machine of the last run will not stop
  idle: { startGpu: "starting_gpu", connect: "connecting", refused: "failed" },
  // the machine was asked for -> it boots and loads (each `gpuAccepted` with newer words), or is ready already
  starting_gpu: { ...RUNNING, gpuAccepted: "waiting", connect: "connecting" },
  waiting: { ...RUNNING, gpuAccepted: "waiting", connect: "connecting" },
  // camera, socket, media -> frames flow, or the server is to be tried again; or its token was too old
  connecting: { ...RUNNING, live: "live", lost: "reconnecting", renew: "starting_gpu" },
  live: { ...RUNNING, degraded: "degraded", paused: "paused", lost: "reconnecting" },
  // the picture is live, but the server's models are away -> they are back
  degraded: { ...RUNNING, live: "live", paused: "paused", lost: "reconnecting" },
  // the source gives no pictures -> it does again
  paused: { ...RUNNING, paused: "paused", live: "live", degraded: "degraded", lost: "reconnecting" },
  // the engine tries again by itself; each failed try is another `lost` with its own reason
  reconnecting: { ...RUNNING, live: "live", lost: "reconnecting", renew: "starting_gpu" },
  stopping: { stopped: "idle", fail: "failed" },
  // says why and what to do; trying again is a new start, stopping the machine another way out
  failed: { startGpu: "starting_gpu", connect: "connecting", refused: "failed" },
};

/**
 * @typedef {{code: string, detail: string, retryAt: number | null}} Reason
 *   `retryAt`: when it is tried again, `performance.now()`.
 */

/** Holds the state; dispatches `change` after each step. */
export class PageMachine extends EventTarget {
  /** @type {PageStateValue} */
  #state = PageState.IDLE;

  /** @type {Reason | null} Why it is where it is. */
  reason = null;

  /** Whether it has been live since Start. */
  wasLive = false;

  /** @type {{at: string, state: string, code: string | null, detail: string}[]} The last steps. */
  history = [];

  get state() {
    return this.#state;
  }

  /**
   * @param {PageEvent} event
   * @param {Reason | null} [reason]
   * @returns {boolean} Whether the event had a place in this state.
   */
  send(event, reason = null) {
    const next = TRANSITIONS[this.#state][event];
    if (next === undefined) return false;
    const starts = this.#state === PageState.IDLE || this.#state === PageState.FAILED;
    this.wasLive = next === PageState.LIVE || (this.wasLive && !starts);
    this.#state = next;
    this.reason = reason;
    const { code = null, detail = "" } = reason ?? {};
    this.history = [...this.history.slice(-19), { at: new Date().toISOString(), state: next, code, detail }];
    this.dispatchEvent(new Event("change"));
    return true;
  }
}
