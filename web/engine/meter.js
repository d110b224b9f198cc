/**
 * Rates and medians over the last second, as the page shows them.
 *
 * @module
 */

const WINDOW_MS = 1000;

/** Growth a second of a number that only grows. */
export class RateMeter {
  /** @type {{at: number, total: number}[]} */
  #samples = [];

  /**
   * @param {number} total
   * @param {number} [at] ms
   * @returns {number} A second, over the last second.
   */
  sample(total, at = performance.now()) {
    this.#samples.push({ at, total });
    while (this.#samples.length > 2 && this.#samples[1].at <= at - WINDOW_MS) this.#samples.shift();
    const first = this.#samples[0];
    return at > first.at ? (Math.max(0, total - first.total) * 1000) / (at - first.at) : 0;
  }
}

/** Median of what came within the last second. */
export class MedianMeter {
  /** @type {{at: number, value: number}[]} */
  #samples = [];

  /** @param {number} value @param {number} [at] ms */
  add(value, at = performance.now()) {
    this.#samples.push({ at, value });
    this.#forget(at);
  }

  /** @param {number} [at] ms @returns {number | null} null when nothing came. */
  median(at = performance.now()) {
    this.#forget(at);
    const values = this.#samples.map(({ value }) => value).sort((a, b) => a - b);
    return values.length === 0 ? null : values[values.length >> 1];
  }

  /** @param {number} at */
  #forget(at) {
    this.#samples = this.#samples.filter((sample) => sample.at > at - WINDOW_MS);
  }
}
