/**
 * Drawing of one thing each, on a 2D canvas. Sizes are CSS pixels times `scale` (the device's pixel ratio).
 *
 * @module
 */

import { colourOfPerson } from "../shared/colours.js";
import { boxToCanvas, toCanvas } from "./placement.js";

/** @typedef {import("./placement.js").Placement} Placement */
/** @typedef {{context: CanvasRenderingContext2D, placement: Placement, scale: number}} Target */

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const REGION_COLOUR = "#f472b6";
export const TEXT_COLOUR = "#facc15";
export const KEYPOINT_SCORE = 0.3;
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
/** Of a line, CSS pixels: of a thing that is hardly believed, and of one that is sure. */
const THIN = 1;
const BROAD = 2.25;
/** Scores of these. */
const UNSURE = 0.35;
const SURE = 0.7;

/** @param {number} score @returns {number} Width of its line, CSS pixels. */
export function lineWidth(score) {
  return THIN + (BROAD - THIN) * Math.min(1, Math.max(0, (score - UNSURE) / (SURE - UNSURE)));
}

/**
 * @param {Target} target
 * @param {number[]} box
 * @param {string} colour
 * @param {number} score
 */
export function drawBox({ context, placement, scale }, box, colour, score) {
  const [x, y, width, height] = boxToCanvas(placement, box);
  const radius = Math.max(0, Math.min(6 * scale, width / 4, height / 4));
  traceRounded(context, x, y, width, height, radius);
  outline(context, colour, lineWidth(score) * scale);
}

/**
 * @param {Target} target
 * @param {number[]} box
 * @param {import("../shared/wire.js").Point[]} polygon In 0..1 of the box; where it is empty the box is drawn.
 * @param {string} colour
 * @param {number} score
 */
export function drawSegment({ context, placement, scale }, box, polygon, colour, score) {
  const [left, top, width, height] = box;
  const shape = polygon.length > 0 ? polygon : WHOLE_BOX;
  trace(context, shape.map(([x, y]) => toCanvas(placement, left + x * width, top + y * height)));
  const opacity = context.globalAlpha;
  context.globalAlpha = opacity * FILLING;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = opacity;
  outline(context, colour, lineWidth(score) * scale);
}

/**
 * @param {Target} target
 * @param {number[]} coordinates x, y of each keypoint, flat
 * @param {number[]} scores
 * @param {number} id
 */
export function drawSkeleton({ context, placement, scale }, coordinates, scores, id) {
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
    outline(context, colourOfPerson(id, side), 3 * scale);
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
 * Where it stands, its place is filled. Where something else may be by now, as it is not followed, it is dashed.
 *
 * @param {Target} target
 * @param {import("./scene.js").ShownText} text
 */
export function drawText({ context, placement, scale }, { quad, age }) {
  trace(context, quad.map(([x, y]) => toCanvas(placement, x, y)));
  if (age === 0) {
    context.fillStyle = "rgb(250 204 21 / 18%)";
    context.fill();
  } else {
    context.setLineDash([6 * scale, 4 * scale]);
  }
  outline(context, TEXT_COLOUR, 2 * scale);
  context.setLineDash([]);
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
  context.lineCap = "round";
  context.beginPath();
  traceArrow(context, [fromX, fromY], [toX, toY], 8 * scale);
  outline(context, colour, 2.5 * scale);
}

/**
 * Adds a shaft and its two wings to the path.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @param {number} wing Its length, pixels of the canvas.
 */
function traceArrow(context, from, [toX, toY], wing) {
  const angle = Math.atan2(toY - from[1], toX - from[0]);
  context.moveTo(...from);
  context.lineTo(toX, toY);
  for (const turn of [-2.6, 2.6]) {
    context.moveTo(toX, toY);
    context.lineTo(toX + wing * Math.cos(angle + turn), toY + wing * Math.sin(angle + turn));
  }
}

/**
 * A line has arrows on the side on which one comes in.
 *
 * @param {Target} target
 * @param {import("../shared/bridge.js").Region} region
 */
export function drawRegion({ context, placement, scale }, { shape, points: [x1, y1, x2, y2] }) {
  const [from, to] = [toCanvas(placement, x1, y1), toCanvas(placement, x2, y2)];
  if (shape === "zone") {
    trace(context, [from, [to[0], from[1]], to, [from[0], to[1]]]);
    context.fillStyle = "rgb(244 114 182 / 14%)";
    context.fill();
    outline(context, REGION_COLOUR, 2 * scale);
    return;
  }
  const turn = placement.mirrored ? -Math.PI / 2 : Math.PI / 2;
  const inward = Math.atan2(to[1] - from[1], to[0] - from[0]) + turn;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  for (const part of [0.25, 0.5, 0.75]) {
    const [x, y] = [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part];
    const tip = /** @type {[number, number]} */ ([x + 14 * scale * Math.cos(inward), y + 14 * scale * Math.sin(inward)]);
    traceArrow(context, [x, y], tip, 6 * scale);
  }
  outline(context, REGION_COLOUR, 2.5 * scale);
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
 * As `CanvasRenderingContext2D.roundRect`, which Safari before 16 and Firefox before 112 do not have.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @param {number} radius
 */
function traceRounded(context, x, y, width, height, radius) {
  const [right, bottom] = [x + width, y + height];
  context.beginPath();
  context.moveTo(x + radius, y);
  context.arcTo(right, y, right, bottom, radius);
  context.arcTo(right, bottom, x, bottom, radius);
  context.arcTo(x, bottom, x, y, radius);
  context.arcTo(x, y, right, y, radius);
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

/** @param {CanvasRenderingContext2D} context @param {number} scale */
export function useLabelFont(context, scale) {
  context.font = `600 ${12 * scale}px ${FONT}`;
}

/**
 * In the font of `useLabelFont`.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {number} scale
 * @param {import("./labels.js").Label} label
 */
export function drawLabel(context, scale, { left, top, width, height, text, colour }) {
  context.fillStyle = colour;
  traceRounded(context, left, top, width, height, 4 * scale);
  context.fill();
  context.fillStyle = "#020617";
  context.textBaseline = "middle";
  context.fillText(text, left + (width - context.measureText(text).width) / 2, top + height / 2 + 0.5 * scale);
}
