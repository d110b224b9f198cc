/**
 * Draws a line or a zone on the picture: from where the pointer goes down to where it comes up.
 *
 * @module
 */

/** Shorter, in frame widths and heights, it was a tap. */
const LEAST = 0.03;

/** @typedef {import("../shared/wire.js").Point} Point */

export class RegionPen {
  #canvas;
  #toFrame;
  #onDraw;
  /** @type {Point | null} Where the pointer went down. */
  #from = null;
  #enabled = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(x: number, y: number) => Point} toFrame From CSS pixels of the canvas to 0..1 of the frame.
   * @param {(points: number[], done: boolean) => void} onDraw x, y of both ends.
   */
  constructor(canvas, toFrame, onDraw) {
    this.#canvas = canvas;
    this.#toFrame = toFrame;
    this.#onDraw = onDraw;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event, false));
    canvas.addEventListener("pointerup", (event) => this.#move(event, true));
    canvas.addEventListener("pointercancel", () => (this.#from = null));
  }

  /** @param {boolean} enabled Until then a touch scrolls the page. */
  set enabled(enabled) {
    this.#enabled = enabled;
    this.#from = null;
    this.#canvas.classList.toggle("drawing", enabled);
  }

  /** @param {PointerEvent} event */
  #down({ offsetX, offsetY, pointerId }) {
    if (!this.#enabled) return;
    this.#canvas.setPointerCapture(pointerId);
    this.#from = this.#toFrame(offsetX, offsetY);
  }

  /** @param {PointerEvent} event @param {boolean} done */
  #move({ offsetX, offsetY }, done) {
    if (this.#from === null) return;
    const points = [...this.#from, ...this.#toFrame(offsetX, offsetY)];
    if (done) this.#from = null;
    if (Math.hypot(points[2] - points[0], points[3] - points[1]) >= LEAST) this.#onDraw(points, done);
  }
}
