/**
 * The service that starts and stops the GPU machine.
 *
 * @module
 */

import { Failure, FailureCode } from "../shared/failure.js";
import { timeoutSignal } from "../shared/timeout_signal.js";

const TIMEOUT_MS = 15_000;
const FIRST_POLL_MS = 2000;
/** Twenty who wait together then ask four times a second. */
const SLOWEST_POLL_MS = 5000;
/** So many answers in a row may be none before the wait ends. */
const MOST_FAILURES = 12;
/** So often AWS is asked for a machine before the user is told that there is none. */
const MOST_STARTS = 10;
const RETRY_S = 5;
const LONGEST_RETRY_S = 120;

/**
 * @typedef {object} MachineStatus
 * @property {"stopped" | "unavailable" | "starting" | "booting" | "loading" | "ready" | "stopping" | "failed"} state
 * @property {string} message For people.
 * @property {string} address https: address of the media server.
 * @property {number | null} wait_s Until it is ready.
 * @property {number | null} stops_in_s Until it stops by itself: this machine's clock may be wrong, so no time of day.
 * @property {number} [retry_s] When unavailable: until a start makes sense again.
 * @property {string} [token] Opens a session; in the answer to `start` only.
 * @property {{run_usd: number, month_usd: number}} [cost] For those who may see it.
 *
 * @typedef {Pick<MachineStatus, "message" | "wait_s">} Waiting
 */

/** What may be right the next time: the service was asked too often, or could not answer. */
class Passing extends Failure {
  /**
   * @param {import("../shared/failure.js").FailureCodeValue} code
   * @param {string} detail
   * @param {number} retryS
   */
  constructor(code, detail, retryS) {
    super(code, detail);
    this.retryS = Math.min(retryS, LONGEST_RETRY_S);
  }
}

export class Lifecycle {
  #api;
  #key;

  /**
   * @param {string} api Base address.
   * @param {() => string} key The user's access key.
   */
  constructor(api, key) {
    this.#api = api.replace(/\/$/, "");
    this.#key = key;
  }

  /**
   * Starts the machine, or keeps one that runs alive for longer.
   *
   * @param {number} [keepMinutes] In place of the usual time; nothing shortens what was promised.
   */
  start(keepMinutes) {
    return this.#ask("POST", "/start", keepMinutes === undefined ? undefined : { keep_minutes: keepMinutes });
  }

  status() {
    return this.#ask("GET", "/status");
  }

  stop() {
    return this.#ask("POST", "/stop");
  }

  /**
   * Starts the machine and waits until it is ready. The last thing asked is a start, as the first token may be too old
   * by then, and the machine's time half over.
   *
   * @param {(waiting: Waiting) => void} onWaiting
   * @param {AbortSignal} signal
   * @returns {Promise<MachineStatus>} With a token.
   */
  async startAndWait(onWaiting, signal) {
    let press = true;
    let pollMs = FIRST_POLL_MS;
    let starts = 0;
    let answered = false;
    for (;;) {
      const status = await this.#persist(() => (press ? this.start() : this.status()), answered, onWaiting, signal);
      answered = true;
      if (status.state === "failed") throw new Failure(FailureCode.GPU_FAILED, status.message);
      if (status.state === "ready" && press) return status;
      // A machine that was just stopping takes a start only when it is off.
      press = status.state === "ready" || status.state === "stopped" || status.state === "unavailable";
      if (status.state === "ready") continue;
      // Off after a start that was taken, whether AWS says why or not: that is one start in vain.
      if (press && ++starts >= MOST_STARTS) throw new Failure(FailureCode.GPU_FAILED, status.message);
      onWaiting(status.state === "unavailable" ? { ...status, wait_s: status.retry_s ?? null } : status);
      await pause(status.retry_s === undefined ? pollMs : status.retry_s * 1000, signal);
      pollMs = Math.min(pollMs * 1.25, SLOWEST_POLL_MS);
    }
  }

  /**
   * Asks again where an answer may come the next time: one that is missing among hundreds ends no wait.
   *
   * @param {() => Promise<MachineStatus>} ask
   * @param {boolean} answered There is such a service; else one that cannot be reached is told at once.
   * @param {(waiting: Waiting) => void} onWaiting
   * @param {AbortSignal} signal
   */
  async #persist(ask, answered, onWaiting, signal) {
    for (let failures = 1; ; failures++) {
      try {
        const status = await ask();
        signal.throwIfAborted();
        return status;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Passing) || failures >= MOST_FAILURES) throw error;
        if (error.code === FailureCode.LIFECYCLE_UNREACHABLE && !answered) throw error;
        onWaiting({ message: error.message, wait_s: error.retryS });
        await pause(error.retryS * 1000, signal);
      }
    }
  }

  /**
   * @param {"GET" | "POST"} method
   * @param {string} path
   * @param {object} [content]
   * @returns {Promise<MachineStatus>}
   */
  async #ask(method, path, content) {
    let response;
    try {
      response = await fetch(this.#api + path, {
        method,
        headers: { Authorization: `Bearer ${this.#key()}`, ...(content && { "Content-Type": "application/json" }) },
        body: content && JSON.stringify(content),
        cache: "no-store",
        signal: timeoutSignal(TIMEOUT_MS),
      });
    } catch (error) {
      throw new Passing(FailureCode.LIFECYCLE_UNREACHABLE, `No answer from the service (${error}).`, RETRY_S);
    }
    if (response.status === 401 || response.status === 403) throw new Failure(FailureCode.UNAUTHORIZED);
    const body = await response.json().catch(() => ({}));
    if (response.ok) return body;
    const words = body.message ?? `HTTP ${response.status}`;
    // API Gateway itself says neither when to ask again nor anything for people.
    const retryS = body.retry_s ?? (response.status === 429 || response.status >= 502 ? RETRY_S : null);
    throw retryS === null
      ? new Failure(FailureCode.GPU_FAILED, words)
      : new Passing(FailureCode.GPU_FAILED, words, retryS);
  }
}

/** @param {number} ms @param {AbortSignal} signal */
async function pause(ms, signal) {
  await new Promise((resolve) => setTimeout(resolve, ms));
  signal.throwIfAborted();
}
