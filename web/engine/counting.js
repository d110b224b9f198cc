/**
 * Who crosses a line, or goes into a zone and out of it: by where tracks stand, the middle of the lower side of their box.
 *
 * @module
 */

/** In frame widths and heights: who dithers on the line crosses it once. */
const DEAD_BAND = 0.01;
/** A track that no result had for so long is over. */
const FORGOTTEN_MS = 5000;
/** One that was missed for so long is still there. */
const MISSED_MS = 500;

/**
 * @typedef {import("../shared/wire.js").Point} Point
 * @typedef {import("../shared/bridge.js").Region} Region
 * @typedef {{id: number, box: number[]}} Thing
 */

export class Counting {
  #region;
  /** @type {Map<number, {place: Point, isIn: boolean, time: number}>} By id; where each was when it was last clear of the border. */
  #tracks = new Map();
  #newest = -Infinity;
  in = 0;
  out = 0;

  /** @param {Region} region */
  constructor(region) {
    this.#region = region;
  }

  /** How many are in the zone; of a line there is no inside. */
  get inside() {
    const there = [...this.#tracks.values()].filter(({ time }) => this.#newest - time < MISSED_MS);
    return this.#region.shape === "zone" ? there.filter(({ isIn }) => isIn).length : null;
  }

  /** @returns {import("../shared/bridge.js").Crossings} */
  get crossings() {
    return { in: this.in, out: this.out, inside: this.inside };
  }

  /** Another picture comes: its tracks are others. */
  forget() {
    this.#tracks.clear();
  }

  /** @param {number} time When the frame was captured, ms. @param {readonly Thing[]} things */
  observe(time, things) {
    if (time <= this.#newest) return;
    this.#newest = time;
    for (const { id, box } of things) this.#see(id, [box[0] + box[2] / 2, box[1] + box[3]], time);
    for (const [id, track] of this.#tracks) if (time - track.time > FORGOTTEN_MS) this.#tracks.delete(id);
  }

  /** @param {number} id @param {Point} place @param {number} time */
  #see(id, place, time) {
    const { shape, points } = this.#region;
    const depth = shape === "line" ? besideLine(points, place) : withinZone(points, place);
    const isIn = depth > 0;
    const track = this.#tracks.get(id);
    if (track === undefined) {
      this.#tracks.set(id, { place, isIn, time });
      return;
    }
    track.time = time;
    if (Math.abs(depth) < DEAD_BAND) return;
    if (isIn !== track.isIn && (shape === "zone" || cross(points, track.place, place))) {
      if (isIn) this.in += 1;
      else this.out += 1;
    }
    Object.assign(track, { place, isIn });
  }
}

/** @param {readonly number[]} line @param {Point} place @returns {number} How far to the right of it, as who looks along it. */
function besideLine([x1, y1, x2, y2], [x, y]) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  return ((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)) / length;
}

/** @param {readonly number[]} zone Two corners. @param {Point} place @returns {number} How far inside; negative outside. */
function withinZone([x1, y1, x2, y2], [x, y]) {
  const across = Math.min(x - Math.min(x1, x2), Math.max(x1, x2) - x);
  const down = Math.min(y - Math.min(y1, y2), Math.max(y1, y2) - y);
  return Math.min(across, down);
}

/** @param {readonly number[]} line @param {Point} from @param {Point} to On another side. */
function cross([x1, y1, x2, y2], from, to) {
  const way = [from[0], from[1], to[0], to[1]];
  return besideLine(way, [x1, y1]) > 0 !== besideLine(way, [x2, y2]) > 0;
}
