/**
 * A small live plot of one number.
 *
 * @module
 */

/** Two a second: the last 40 s. */
const POINTS = 80;

export class Sparkline {
  #canvas;
  /** @type {number[]} */
  #values = [];

  /** @param {HTMLCanvasElement} canvas Coloured by its CSS `color`. */
  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** @param {number} value */
  push(value) {
    this.#values = [...this.#values.slice(1 - POINTS), value];
    this.#draw();
  }

  clear() {
    this.#values = [];
    this.#draw();
  }

  #draw() {
    const canvas = this.#canvas;
    const context = canvas.getContext("2d");
    const width = Math.round(canvas.clientWidth * devicePixelRatio);
    const height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (context === null || width === 0) return; // folded away
    Object.assign(canvas, { width, height }); // also clears
    if (this.#values.length < 2) return;
    const top = Math.max(...this.#values, 1e-9) * 1.1;
    const rim = 1.5 * devicePixelRatio;
    /** @param {number} i */
    const x = (i) => width - ((this.#values.length - 1 - i) * width) / (POINTS - 1);
    /** @param {number} value */
    const y = (value) => height - rim - (value / top) * (height - 2 * rim);
    context.beginPath();
    this.#values.forEach((value, i) => context.lineTo(x(i), y(value)));
    context.strokeStyle = context.fillStyle = getComputedStyle(canvas).color;
    context.lineWidth = rim;
    context.lineJoin = "round";
    context.stroke();
    context.lineTo(width, height);
    context.lineTo(x(0), height);
    context.globalAlpha = 0.14;
    context.fill();
  }
}
