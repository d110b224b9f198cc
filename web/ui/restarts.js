/**
 * How often an engine that is lost is started again by itself.
 *
 * @module
 */

/** Before the first, second and third within `MEMORY_MS`. */
const PAUSES_MS = [0, 1000, 3000];
const MEMORY_MS = 60_000;

/** Pure: times are passed in, in ms of one clock. */
export class Restarts {
  /** @type {number[]} */
  #lostAt = [];

  /**
   * @param {number} now An engine was lost.
   * @returns {number | null} Ms until the next is started; null where so many were lost of late that one more is of no use.
   */
  pause(now) {
    this.#lostAt = [...this.#lostAt.filter((at) => now - at < MEMORY_MS), now];
    return PAUSES_MS[this.#lostAt.length - 1] ?? null;
  }

  /** What was lost before counts no more. */
  forget() {
    this.#lostAt = [];
  }
}
