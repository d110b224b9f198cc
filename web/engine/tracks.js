/**
 * Where things are between results: ids are matched over results, positions inter- and extrapolated in time.
 * Knows nothing of pictures: an item's `values` are any numbers that move smoothly (a box, keypoints).
 *
 * @module
 */

/** How far ahead of its last sighting a thing is drawn: more is guessing. */
export const HORIZON_MS = 500;
/** How long a thing that is gone, or stale, takes to fade away. */
export const FADE_MS = 250;
/** Motion is fitted through the sightings of this long, and through two at least: what is older lags behind. */
const FIT_MS = 250;
/** A velocity is believed as far as velocities foretold the sightings of about this long. */
const TRUST_MS = 3000;
/**
 * It is believed from the start, as if a step of so much, in frame widths or heights, had come true: little
 * against the steps of what moves, and soon little against those of what only fidgets.
 */
const TRUSTED_STEP = 0.005;
/** What is kept to interpolate in: more than the age of any result that is of use. */
const HISTORY_MS = 3000;
/** A correction by a new sighting is taken up over about this long, so that nothing jumps. */
const SMOOTHING_MS = 50;

/**
 * @template D
 * @typedef {object} Item
 * @property {number} id
 * @property {number[]} values
 * @property {number[] | null} [velocity] Of `values` a second, where it is known better than by fitting.
 * @property {D} data What is drawn with it.
 */

/**
 * @template D
 * @typedef {{id: number, values: number[], opacity: number, isStale: boolean, data: D}} Placed
 *   `isStale`: it is older than it can be drawn ahead.
 */

/**
 * All tracks of one kind.
 *
 * @template D
 */
export class Tracks {
  /** @type {Map<number, Track<D>>} */
  #tracks = new Map();
  #newest = -Infinity;

  /**
   * @param {number} time When the frame was captured, Unix ms.
   * @param {Item<D>[]} items
   */
  observe(time, items) {
    if (time <= this.#newest) return; // results come unordered; a late one has nothing new to say
    this.#newest = time;
    const seen = new Set();
    for (const item of items) {
      seen.add(item.id);
      const track = this.#tracks.get(item.id);
      if (track === undefined) this.#tracks.set(item.id, new Track(time, item));
      else track.see(time, item);
    }
    for (const [id, track] of this.#tracks) {
      if (!seen.has(id)) track.miss(time);
      if (track.isOver(time)) this.#tracks.delete(id);
    }
  }

  /**
   * @param {number} time Of the picture on show, Unix ms.
   * @param {number} [patienceMs] So long beyond the horizon what is stale stays on show, where it was last.
   * @returns {Placed<D>[]} What is visible in it.
   */
  at(time, patienceMs = 0) {
    const placed = [];
    for (const [id, track] of this.#tracks) {
      const opacity = track.opacity(time, patienceMs);
      if (opacity <= 0) continue;
      placed.push({ id, values: track.values(time), opacity, isStale: track.isStale(time), data: track.data });
    }
    return placed;
  }
}

/** @template D */
class Track {
  /** @type {{time: number, values: number[]}[]} Oldest first. */
  #sightings;
  /** @type {number[]} A second. */
  #velocity;
  /** @type {number[]} By value, of late: the sum of foretold × true steps from sighting to sighting. */
  #agreement;
  /** @type {number[]} By value, of late: the sum of squares of the foretold steps. */
  #foretold;
  /** @type {number | null} The first frame in which it was looked for and not found. */
  #missedAt = null;
  /** @type {number[]} Where it was drawn less where it turned out to be, at its last sighting. */
  #correction;

  /** @param {number} time @param {Item<D>} item */
  constructor(time, item) {
    this.#sightings = [{ time, values: item.values }];
    this.#velocity = item.velocity ?? item.values.map(() => 0);
    this.#agreement = item.values.map(() => 0);
    this.#foretold = item.values.map(() => 0);
    this.#correction = item.values.map(() => 0);
    this.data = item.data;
  }

  /** @param {number} time @param {Item<D>} item */
  see(time, item) {
    const expected = this.values(time);
    this.#judge(time, item.values);
    this.#sightings = this.#sightings.filter((sighting) => sighting.time > time - HISTORY_MS);
    this.#sightings.push({ time, values: item.values });
    this.#velocity = item.velocity ?? slope(this.#sightings);
    this.#correction = expected.map((value, i) => value - item.values[i]);
    this.#missedAt = null;
    this.data = item.data;
  }

  /** @param {number} time */
  miss(time) {
    this.#missedAt ??= time;
  }

  /** @param {number} time Of the newest result: nothing older than the history is asked for. */
  isOver(time) {
    return time > this.#last().time + HISTORY_MS;
  }

  /** @param {number} time */
  isStale(time) {
    return time > this.#last().time + HORIZON_MS;
  }

  /** @param {number} time @param {number} patienceMs */
  opacity(time, patienceMs) {
    if (time < this.#sightings[0].time) return 0;
    const fadesFrom = Math.min(this.#missedAt ?? Infinity, this.#last().time + HORIZON_MS + patienceMs);
    return Math.min(1, Math.max(0, 1 - (time - fadesFrom) / FADE_MS));
  }

  /** @param {number} time @returns {number[]} */
  values(time) {
    const last = this.#last();
    if (time < last.time) return this.#between(time);
    const ahead = Math.min(time - last.time, HORIZON_MS);
    const residue = Math.exp(-ahead / SMOOTHING_MS);
    return last.values.map(
      (value, i) => value + (this.#trust(i) * this.#velocity[i] * ahead) / 1000 + this.#correction[i] * residue,
    );
  }

  /**
   * What fidgets has velocities too, but they foretell nothing; drawn ahead by them it would only shake.
   * So true steps are regressed on foretold ones: persistent motion gives a trust near 1, noise near 0.
   *
   * @param {number} time
   * @param {number[]} values Of a sighting just in.
   */
  #judge(time, values) {
    const last = this.#last();
    const seconds = (time - last.time) / 1000;
    const kept = Math.exp((last.time - time) / TRUST_MS);
    for (const [i, value] of values.entries()) {
      const step = this.#velocity[i] * seconds;
      this.#agreement[i] = kept * this.#agreement[i] + step * (value - last.values[i]);
      this.#foretold[i] = kept * this.#foretold[i] + step * step;
    }
  }

  /** @param {number} i Of a value. @returns {number} 0..1 */
  #trust(i) {
    const prior = TRUSTED_STEP ** 2;
    return Math.min(1, Math.max(0, (prior + this.#agreement[i]) / (prior + this.#foretold[i])));
  }

  /** @param {number} time Before the last sighting. @returns {number[]} */
  #between(time) {
    const after = Math.max(1, this.#sightings.findIndex((sighting) => sighting.time > time));
    const [from, to] = [this.#sightings[after - 1], this.#sightings[after]];
    const share = Math.max(0, (time - from.time) / (to.time - from.time));
    return from.values.map((value, i) => value + (to.values[i] - value) * share);
  }

  #last() {
    return this.#sightings[this.#sightings.length - 1];
  }
}

/**
 * Velocity by least squares through the newest sightings.
 *
 * @param {{time: number, values: number[]}[]} sightings
 * @returns {number[]} A second.
 */
function slope(sightings) {
  const newest = sightings[sightings.length - 1];
  const recent = sightings.findIndex(({ time }) => time > newest.time - FIT_MS);
  const fitted = sightings.slice(Math.max(0, Math.min(recent, sightings.length - 2)));
  const meanTime = mean(fitted.map(({ time }) => time));
  const spread = fitted.reduce((sum, { time }) => sum + (time - meanTime) ** 2, 0);
  if (spread === 0) return newest.values.map(() => 0); // back after a long time: one sighting
  return newest.values.map((_, i) => {
    const meanValue = mean(fitted.map(({ values }) => values[i]));
    const covariance = fitted.reduce(
      (sum, { time, values }) => sum + (time - meanTime) * (values[i] - meanValue),
      0,
    );
    return (1000 * covariance) / spread;
  });
}

/** @param {number[]} numbers */
function mean(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
