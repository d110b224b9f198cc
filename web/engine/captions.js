/**
 * What is said of the things in a picture, and where faces are that it must not cover.
 *
 * @module
 */

import { colourOfKind } from "../shared/colours.js";
import { KEYPOINT_SCORE, TEXT_COLOUR } from "./draw.js";
import { PERSON } from "./findings.js";
import { boxToCanvas, toCanvas } from "./placement.js";

/** Keypoints of the head: nose, eyes, ears. */
const HEAD = [0, 1, 2, 3, 4];
/** Eyes and ears are inside of a face. */
const FACE_MARGIN = 0.6;

/**
 * @typedef {import("./findings.js").Content} Content
 * @typedef {import("./placement.js").Placement} Placement
 * @typedef {import("./labels.js").Wish} Wish
 * @typedef {import("./labels.js").Rectangle} Rectangle
 */

/**
 * @param {Content} content
 * @param {Placement} placement
 * @param {import("../shared/bridge.js").View} view
 * @param {{person: string, ago: string}} words
 * @returns {Wish[]} Texts first, as they are why somebody looks; then what is known for longest.
 */
export function captions({ detections, segments, poses, texts }, placement, { labels, numbers }, words) {
  const readings = texts.map(({ text, quad, opacity, age }, i) => ({
    key: `text ${i}`,
    text: age === 0 ? text : `${text} · ${words.ago.replace("#", (age / 1000).toFixed(1))}`,
    colour: TEXT_COLOUR,
    opacity,
    anchor: around(quad.map(([x, y]) => toCanvas(placement, x, y))),
    isReading: true,
  }));
  if (!labels) return readings;
  const boxed = new Set(detections.map(({ id }) => id)); // these have their label already
  const people = detections.length > 0 ? [] : poses.map((pose) => ({ ...pose, data: { ...pose.data, label: words.person } }));
  const things = [...detections, ...segments.filter(({ id }) => !boxed.has(id)), ...people];
  const named = things.sort((one, other) => one.id - other.id).map(({ id, values, opacity, data }) => ({
    key: `${data.label} ${id}`,
    text: numbers ? `${data.label} ${id} · ${Math.round(data.score * 100)}%` : data.label,
    colour: colourOfKind(data.label === words.person ? PERSON : data.label),
    opacity,
    anchor: rectangle(boxToCanvas(placement, values.slice(0, 4))),
    isReading: false,
  }));
  return [...readings, ...named];
}

/**
 * @param {Content} content
 * @param {Placement} placement
 * @returns {Rectangle[]}
 */
export function facesOf({ poses, detections }, placement) {
  if (poses.length > 0) return poses.flatMap(({ values, data }) => head(values.slice(4), data.scores, placement) ?? []);
  // Where no skeletons are looked for: in the middle of the upper end of whoever stands.
  const people = detections.filter(({ data }) => data.label === PERSON);
  return people.map(({ values: [x, y, width, height] }) => {
    const face = [x + width * 0.3, y, width * 0.4, Math.min(height / 5, width / 2)];
    return rectangle(boxToCanvas(placement, face));
  });
}

/** @param {number[]} coordinates @param {number[]} scores @param {Placement} placement */
function head(coordinates, scores, placement) {
  const seen = HEAD.filter((i) => scores[i] >= KEYPOINT_SCORE);
  if (seen.length === 0) return null;
  const { left, top, width, height } = around(
    seen.map((i) => toCanvas(placement, coordinates[2 * i], coordinates[2 * i + 1])),
  );
  const margin = Math.max(width, height) * FACE_MARGIN;
  return { left: left - margin, top: top - margin, width: width + 2 * margin, height: height + 2 * margin };
}

/** @param {import("../shared/wire.js").Point[]} points @returns {Rectangle} */
function around(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return { left, top, width: Math.max(...xs) - left, height: Math.max(...ys) - top };
}

/** @param {import("../shared/wire.js").Box} box @returns {Rectangle} */
function rectangle([left, top, width, height]) {
  return { left, top, width, height };
}
