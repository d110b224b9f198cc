/**
 * Which kinds are there to stay: a model that is unsure finds a tennis racket for a moment, and no one wants to read that.
 *
 * @module
 */

/** Counts come twice a second: a kind that lasts is there for a second at least. */
const COUNTS = 3;

export class LastingKinds {
  /** @type {Map<string, number>} In how many counts up to the newest each kind was. */
  #seen = new Map();

  /**
   * @param {readonly string[]} labels Those in the newest count.
   * @returns {string[]} Those of them that were in the counts before it, too.
   */
  among(labels) {
    this.#seen = new Map(labels.map((label) => [label, (this.#seen.get(label) ?? 0) + 1]));
    return labels.filter((label) => (this.#seen.get(label) ?? 0) >= COUNTS);
  }
}
