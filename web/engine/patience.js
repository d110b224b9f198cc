/**
 * How long what was found stays on show when it is too old to be drawn ahead: until the next result is due, however slow
 * results are. Else all would vanish and come back with each of them.
 *
 * @module
 */

import { HORIZON_MS } from "./tracks.js";

/** Results are not evenly slow. */
const MARGIN = 1.5;
const LONGEST_MS = 5000;
const FOLLOW = 0.3;

export class Patience {
  /** @type {number | null} */
  #last = null;
  #due = 0;

  /**
   * @param {number} time When the frame of a result just in was captured, ms.
   * @param {number} ageMs Of the frame.
   */
  observe(time, ageMs) {
    const interval = this.#last === null ? ageMs : Math.max(0, time - this.#last);
    this.#last = time;
    const due = Math.min(ageMs + interval, LONGEST_MS);
    this.#due += (due - this.#due) * (this.#due === 0 || due > this.#due ? 1 : FOLLOW);
  }

  /** Beyond the horizon. */
  get ms() {
    return Math.min(LONGEST_MS, Math.max(0, MARGIN * this.#due - HORIZON_MS));
  }
}
