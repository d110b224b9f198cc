/**
 * Shows a video late by a set time, so that results are there when their picture is.
 *
 * @module
 */

/** At 30 fps enough for a second; 640×480 pictures take about 1.2 MB each. */
const MAX_FRAMES = 30;
const MAX_DELAY_MS = 1000;
/** Ages vary. */
const MARGIN_MS = 40;
/** The delay changes slowly: a jump would show as a jerk. */
const FOLLOW = 0.1;

/** @typedef {{canvas: HTMLCanvasElement, time: number}} Frame `time` is when it was captured, Unix ms. */

export class FrameDelay {
  /** @type {Frame[]} Oldest first; the canvases are used in turn. */
  #frames = [];
  /** @type {HTMLCanvasElement[]} */
  #spare = [];
  #delay = 0;
  /** @type {number | null} */
  #resultTime = null;

  /** @param {HTMLVideoElement} video @param {number} time */
  push(video, time) {
    const { videoWidth: width, videoHeight: height } = video;
    if (width === 0) return;
    const reused = this.#frames.length >= MAX_FRAMES ? this.#frames.shift()?.canvas : this.#spare.pop();
    const canvas = reused ?? document.createElement("canvas");
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d", { alpha: false })?.drawImage(video, 0, 0);
    this.#frames.push({ canvas, time });
  }

  /**
   * A picture can be shown when the results before and after it are there.
   *
   * @param {number} time When the frame of a result just in was captured, Unix ms.
   * @param {number} ageMs
   */
  observeResult(time, ageMs) {
    const interval = this.#resultTime === null ? 0 : Math.max(0, time - this.#resultTime);
    this.#resultTime = time;
    const wanted = Math.min(MAX_DELAY_MS, interval + ageMs + MARGIN_MS);
    this.#delay += (wanted - this.#delay) * (this.#delay === 0 ? 1 : FOLLOW);
  }

  /** @param {number} now Unix ms @returns {Frame | null} What to show. */
  frameAt(now) {
    const until = now - this.#delay;
    while (this.#frames.length > 1 && this.#frames[1].time <= until) {
      const passed = this.#frames.shift();
      if (passed !== undefined) this.#spare.push(passed.canvas);
    }
    return this.#frames[0] ?? null;
  }

  clear() {
    this.#frames = [];
    this.#spare = [];
    this.#delay = 0;
    this.#resultTime = null;
  }
}
