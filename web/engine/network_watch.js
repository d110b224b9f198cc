/**
 * Whether what holds up pictures or results is worth a word to the user: only what lasts, and only what is so.
 *
 * @module
 */

import { NetworkTrouble } from "../shared/bridge.js";

const LASTING_MS = 4000;
/** Older than that, boxes are no longer drawn ahead: they are faded. */
const LATE_MS = 750;

/** Pure: times are passed in, in ms of one clock. */
export class NetworkWatch {
  #since = 0;
  /** @type {import("../shared/bridge.js").NetworkTroubleValue} */
  #seen = NetworkTrouble.NONE;

  /**
   * @param {Pick<import("./media_path.js").Sending, "isNarrow" | "isBlocked">} sending
   * @param {number | null} resultAgeMs null while no results come.
   * @param {number} serverMs How much of it the frame was with the server.
   * @param {number} now
   */
  observe({ isNarrow, isBlocked }, resultAgeMs, serverMs, now) {
    const isLate = resultAgeMs !== null && resultAgeMs > LATE_MS;
    const late = resultAgeMs !== null && serverMs > resultAgeMs / 2 ? NetworkTrouble.SLOW : NetworkTrouble.LATE;
    const seen = isNarrow ? NetworkTrouble.NARROW : isLate ? late : NetworkTrouble.NONE;
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#since = now;
    }
    if (isBlocked) return NetworkTrouble.BLOCKED; // found out by waiting
    return now - this.#since > LASTING_MS ? seen : NetworkTrouble.NONE;
  }
}
