/**
 * The service that starts and stops the GPU machine.
 *
 * @module
 */

import { Failure, FailureCode } from "../shared/failure.js";

const TIMEOUT_MS = 15_000;
const POLL_MS = 2000;

/**
 * @typedef {object} MachineStatus
 * @property {"stopped" | "starting" | "booting" | "loading" | "ready" | "stopping" | "failed"} state
 * @property {string} message For people.
 * @property {string} address https: address of the media server.
 * @property {number | null} wait_s Until it is ready.
 * @property {number | null} stops_in_s Until it stops by itself: this machine's clock may be wrong, so no time of day.
 * @property {string} [token] Opens a session; in the answer to `start` only.
 */

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

  /** Starts the machine, or keeps one that runs alive for longer. */
  start() {
    return this.#ask("POST", "/start");
  }

  status() {
    return this.#ask("GET", "/status");
  }

  stop() {
    return this.#ask("POST", "/stop");
  }

  /**
   * Starts the machine and waits until it is ready.
   *
   * @param {(status: MachineStatus) => void} onStatus
   * @param {AbortSignal} signal
   * @returns {Promise<MachineStatus>} With a token.
   */
  async startAndWait(onStatus, signal) {
    let status = await this.start();
    let token = status.token;
    while (status.state !== "ready") {
      if (status.state === "failed") throw new Failure(FailureCode.GPU_FAILED, status.message);
      onStatus(status);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      signal.throwIfAborted();
      // A machine that was just stopping takes a start only when it is off.
      status = status.state === "stopped" ? await this.start() : await this.status();
      token = status.token ?? token;
    }
    signal.throwIfAborted();
    if (token === undefined) return this.start(); // ready, by someone else's start
    return { ...status, token };
  }

  /**
   * @param {"GET" | "POST"} method
   * @param {string} path
   * @returns {Promise<MachineStatus>}
   */
  async #ask(method, path) {
    let response;
    try {
      response = await fetch(this.#api + path, {
        method,
        headers: { Authorization: `Bearer ${this.#key()}` },
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      throw new Failure(FailureCode.LIFECYCLE_UNREACHABLE, String(error));
    }
    if (response.status === 401 || response.status === 403) throw new Failure(FailureCode.UNAUTHORIZED);
    const body = await response.json().catch(() => ({}));
    if (!response.ok) throw new Failure(FailureCode.GPU_FAILED, body.message ?? `HTTP ${response.status}`);
    return body;
  }
}
