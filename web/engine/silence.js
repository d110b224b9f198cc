/**
 * How long nothing was heard, from who asks at a steady rate. Pure: times are passed in, in ms of `performance.now()`.
 *
 * @module
 */

/** A page that stood still for longer, as in a machine that slept, has most likely lost its socket. */
const MOST_FORGIVEN_MS = 15_000;

export class Silence {
  #intervalMs;
  #heardAt;
  #watchedAt;

  /** @param {number} intervalMs Of `watch`. @param {number} now */
  constructor(intervalMs, now) {
    this.#intervalMs = intervalMs;
    this.#heardAt = now;
    this.#watchedAt = now;
  }

  /** @param {number} now Something came. */
  heard(now) {
    this.#heardAt = now;
  }

  /** @param {number} now @returns {number} Since something came, ms. */
  since(now) {
    return now - this.#heardAt;
  }

  /**
   * What came while the page stood still waits behind the timer that asks here: it is not the server that was silent.
   *
   * @param {number} now
   * @returns {number} As `since`, without the time for which the page stood still.
   */
  watch(now) {
    const late = Math.max(0, now - this.#watchedAt - this.#intervalMs);
    this.#watchedAt = now;
    this.#heardAt = Math.min(now, this.#heardAt + Math.min(late, MOST_FORGIVEN_MS));
    return this.since(now);
  }
}
