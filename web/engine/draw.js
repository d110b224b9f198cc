/**
 * Drawing of one thing each, on a 2D canvas. Sizes are CSS pixels times `scale` (the device's pixel ratio).
 *
 * @module
 */

import { boxToCanvas, toCanvas } from "./placement.js";

/** @typedef {import("./placement.js").Placement} Placement */
/** @typedef {{context: CanvasRenderingContext2D, placement: Placement, scale: number}} Target */

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const KEYPOINT_SCORE = 0.3;
/** How much of an outlined thing is its colour. */
const FILLING = 0.3;
/** @type {import("../shared/wire.js").Point[]} */
const WHOLE_BOX = [[0, 0], [1, 0], [1, 1], [0, 1]];
/** Seconds that an arrow looks ahead. */
const ARROW_S = 0.4;
const MIN_ARROW_PX = 6;

/** Pairs of COCO keypoints (nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles), by body side. */
const BONES = /** @type {const} */ ([
  { side: "left", bones: [[5, 7], [7, 9], [11, 13], [13, 15], [5, 11], [0, 1], [1, 3]] },
  { side: "right", bones: [[6, 8], [8, 10], [12, 14], [14, 16], [6, 12], [0, 2], [2, 4]] },
  { side: "middle", bones: [[5, 6], [11, 12]] },
]);
const SIDE_COLOUR = { left: "#38bdf8", right: "#fb923c", middle: "#f1f5f9" };

/**
 * The golden angle keeps the colours of neighbouring ids far apart.
 *
 * @param {number} id
 */
export function colourOf(id) {
  return `hsl(${Math.round((id * 137.508 + 150) % 360)} 85% 62%)`;
}

/**
 * @param {Target} target
 * @param {number[]} box
 * @param {string} colour
 * @param {string | null} label
 */
export function drawBox({ context, placement, scale }, box, colour, label) {
  const [x, y, width, height] = boxToCanvas(placement, box);
  const radius = Math.max(0, Math.min(6 * scale, width / 4, height / 4));
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
  outline(context, colour, 2 * scale);
  if (label !== null) drawLabel(context, scale, x - scale, y, colour, label);
}

/**
 * @param {Target} target
 * @param {number[]} box
 * @param {import("../shared/wire.js").Point[]} polygon In 0..1 of the box; where it is empty the box is drawn.
 * @param {string} colour
 * @param {string | null} label
 */
export function drawSegment({ context, placement, scale }, box, polygon, colour, label) {
  const [left, top, width, height] = box;
  const shape = polygon.length > 0 ? polygon : WHOLE_BOX;
  trace(context, shape.map(([x, y]) => toCanvas(placement, left + x * width, top + y * height)));
  const opacity = context.globalAlpha;
  context.globalAlpha = opacity * FILLING;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = opacity;
  outline(context, colour, 2 * scale);
  const [x, y] = boxToCanvas(placement, box);
  if (label !== null) drawLabel(context, scale, x - scale, y, colour, label);
}

/**
 * @param {Target} target
 * @param {number[]} coordinates x, y of each keypoint, flat
 * @param {number[]} scores
 */
export function drawSkeleton({ context, placement, scale }, coordinates, scores) {
  /** @param {number} i */
  const joint = (i) => toCanvas(placement, coordinates[2 * i], coordinates[2 * i + 1]);
  context.lineCap = "round";
  for (const { side, bones } of BONES) {
    context.beginPath();
    for (const [from, to] of bones) {
      if (scores[from] < KEYPOINT_SCORE || scores[to] < KEYPOINT_SCORE) continue;
      context.moveTo(...joint(from));
      context.lineTo(...joint(to));
    }
    outline(context, SIDE_COLOUR[side], 3 * scale);
  }
  context.fillStyle = "#ffffff";
  context.beginPath();
  scores.forEach((score, i) => {
    if (score < KEYPOINT_SCORE) return;
    const [x, y] = joint(i);
    context.moveTo(x, y);
    context.arc(x, y, 2.5 * scale, 0, 2 * Math.PI);
  });
  context.fill();
}

/**
 * @param {Target} target
 * @param {import("../shared/wire.js").Text} text
 */
export function drawText({ context, placement, scale }, { text, quad }) {
  const corners = quad.map(([x, y]) => toCanvas(placement, x, y));
  trace(context, corners);
  context.fillStyle = "rgb(250 204 21 / 18%)";
  context.fill();
  outline(context, "#facc15", 2 * scale);
  const left = Math.min(...corners.map(([x]) => x));
  const bottom = Math.max(...corners.map(([, y]) => y));
  drawLabel(context, scale, left, bottom + 22 * scale, "#facc15", text);
}

/**
 * An arrow from a point, as long as the way of `ARROW_S` seconds; none for what hardly moves.
 *
 * @param {Target} target
 * @param {import("../shared/wire.js").Point} from In the frame.
 * @param {number} dx Frame widths a second.
 * @param {number} dy Frame heights a second.
 * @param {string} colour
 */
export function drawArrow({ context, placement, scale }, [x, y], dx, dy, colour) {
  const [fromX, fromY] = toCanvas(placement, x, y);
  const [toX, toY] = toCanvas(placement, x + dx * ARROW_S, y + dy * ARROW_S);
  if (Math.hypot(toX - fromX, toY - fromY) < MIN_ARROW_PX * scale) return;
  const angle = Math.atan2(toY - fromY, toX - fromX);
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  for (const turn of [-2.6, 2.6]) {
    context.moveTo(toX, toY);
    context.lineTo(toX + 8 * scale * Math.cos(angle + turn), toY + 8 * scale * Math.sin(angle + turn));
  }
  outline(context, colour, 2.5 * scale);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("../shared/wire.js").Point[]} corners Canvas pixels.
 */
function trace(context, corners) {
  context.beginPath();
  corners.forEach(([x, y], i) => (i === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
  context.closePath();
}

/**
 * A dark rim under the line keeps it readable on any picture.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 * @param {number} width
 */
function outline(context, colour, width) {
  context.lineJoin = "round";
  context.strokeStyle = "rgb(2 6 23 / 55%)";
  context.lineWidth = width * 2;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} scale
 * @param {number} x Left side.
 * @param {number} y Lower side; moved in where it would leave the canvas.
 * @param {string} colour
 * @param {string} text
 */
function drawLabel(context, scale, x, y, colour, text) {
  const height = 18 * scale;
  context.font = `600 ${12 * scale}px ${FONT}`;
  const width = context.measureText(text).width + 10 * scale;
  const left = Math.max(0, Math.min(x, context.canvas.width - width));
  const top = Math.max(0, Math.min(y - height - 2 * scale, context.canvas.height - height));
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(left, top, width, height, 4 * scale);
  context.fill();
  context.fillStyle = "#020617";
  context.textBaseline = "middle";
  context.fillText(text, left + 5 * scale, top + height / 2 + 0.5 * scale);
}
