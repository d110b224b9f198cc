/**
 * How far the server's clock is from ours (RFC 5905, 8). Pure: times are passed in, Unix ms.
 * `mediaserver/client/clock_offset.py` is its twin.
 *
 * @module
 */

const KEPT = 64;
/** Pings that wait for their answers. One that is older will hardly get its own. */
const MAX_ASKED = 64;

export class ClockOffset {
  /** @type {Map<number, number>} When they were asked, by their numbers. */
  #asked = new Map();
  /** @type {{roundTrip: number, offset: number}[]} */
  #samples = [];

  /** @param {number} number @param {number} now A ping goes out. */
  asked(number, now) {
    this.#asked.set(number, now);
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size <= MAX_ASKED) break;
      this.#asked.delete(oldest);
    }
  }

  /**
   * The answer to the ping of this number came. The fastest of the last ones counts: what others took longer, they
   * spent in queues.
   *
   * @param {number} number
   * @param {number} server In the server's clock.
   * @param {number} now
   */
  answered(number, server, now) {
    const asked = this.#asked.get(number);
    if (asked === undefined) return;
    this.#asked.delete(number);
    this.#samples.push({ roundTrip: now - asked, offset: server - (asked + now) / 2 });
    if (this.#samples.length > KEPT) this.#samples.shift();
  }

  /** The server's clock less ours; null while it is not known. */
  get offset() {
    const [first, ...others] = this.#samples;
    if (first === undefined) return null;
    return others.reduce((best, each) => (each.roundTrip < best.roundTrip ? each : best), first).offset;
  }
}
