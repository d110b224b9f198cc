/**
 * What is known about the picture: results go in with their capture time, what to draw at a moment comes out.
 *
 * @module
 */

import { Patience } from "./patience.js";
import { FADE_MS, HORIZON_MS, Tracks } from "./tracks.js";

/** Where the server follows no texts: they stay longer than a box, but not until the sign has moved on. */
const TEXT_MS = 1500;
/** A picture this much later still counts as the one that was read. */
const SAME_PICTURE_MS = 100;

/**
 * @typedef {import("../shared/wire.js").Result} Result
 * @typedef {import("../shared/wire.js").Text} Text
 * @typedef {{label: string, score: number, velocity: import("../shared/wire.js").Point | null}} DetectionData
 * @typedef {{score: number, scores: number[]}} PoseData
 * @typedef {{label: string, score: number, outline: import("../shared/wire.js").Point[]}} SegmentData
 *   `outline` is in 0..1 of the box, and so goes where the box goes between results.
 * @typedef {{text: string, quad: import("../shared/wire.js").Point[], opacity: number, isStale: boolean,
 *   age: number}} ShownText
 *   `age` is ms since it stood where it is drawn; 0 where that is where it stands.
 */

export class Scene {
  /** @type {Tracks<DetectionData>} `values`: the box. */
  #detections = new Tracks();
  /** @type {Tracks<PoseData>} `values`: the box, then x, y of the keypoints. */
  #poses = new Tracks();
  /** @type {Tracks<SegmentData>} `values`: the box. */
  #segments = new Tracks();
  /** @type {Tracks<{text: string}>} `values`: x, y of the corners. */
  #followedTexts = new Tracks();
  #followsTexts = false;
  #patience = new Patience();
  /** @type {Text[]} */
  #texts = [];
  #textArrival = -Infinity;
  #textTime = -Infinity;
  /** @type {import("../shared/wire.js").Motion | null} */
  #motion = null;
  #motionTime = -Infinity;

  /**
   * @param {Result} result
   * @param {number} time When its frame was captured, Unix ms.
   * @param {number} ageMs Of the frame, when the result came.
   */
  observe(result, time, ageMs) {
    this.#patience.observe(time, ageMs);
    // What was not looked for is not missing: a server that cannot keep up looks in every second frame.
    if (result.detections) this.#detections.observe(time, result.detections.map(detectionItem));
    if (result.poses) this.#poses.observe(time, result.poses.map(poseItem));
    if (result.segments) this.#segments.observe(time, result.segments.map(segmentItem));
    if (result.followed_texts !== undefined) {
      this.#followsTexts = true;
      this.#followedTexts.observe(time, result.followed_texts.map(textItem));
    }
    this.#motion = result.motion;
    this.#motionTime = time;
  }

  /**
   * @param {Text[]} texts
   * @param {number} time When the frame that was read was captured, Unix ms.
   * @param {number} arrival Unix ms: reading takes so long on some machines that text which is shown by the age
   *   of its frame would never be seen.
   */
  observeTexts(texts, time, arrival) {
    this.#texts = texts;
    this.#textTime = time;
    this.#textArrival = arrival;
  }

  /** @param {number} time Of the picture on show, Unix ms. */
  at(time) {
    return {
      detections: this.#detections.at(time, this.#patience.ms),
      poses: this.#poses.at(time, this.#patience.ms),
      segments: this.#segments.at(time, this.#patience.ms),
      texts: this.#followsTexts
        ? this.#followedTexts.at(time, this.#patience.ms).map(followedText)
        : this.#heldTexts(time),
      motion: Math.abs(time - this.#motionTime) < HORIZON_MS ? this.#motion : null,
    };
  }

  /** @param {number} time @returns {ShownText[]} */
  #heldTexts(time) {
    const opacity = Math.min(1, Math.max(0, 1 - (time - this.#textArrival - TEXT_MS) / FADE_MS));
    if (opacity === 0) return [];
    const since = time - this.#textTime;
    const age = since > SAME_PICTURE_MS ? since : 0;
    return this.#texts.map(({ text, quad }) => ({ text, quad, opacity, isStale: false, age }));
  }
}

/** @param {import("../shared/wire.js").Detection} detection */
function detectionItem({ id, box, velocity, label, score }) {
  // The server's filter knows the track from its beginning. How its size changes is not in it.
  return {
    id,
    values: box,
    velocity: velocity === null ? null : [...velocity, 0, 0],
    data: { label, score, velocity },
  };
}

/** @param {Text} text */
function textItem({ id, text, quad }) {
  return { id: id ?? 0, values: quad.flat(), data: { text } };
}

/** @param {import("./tracks.js").Placed<{text: string}>} placed @returns {ShownText} */
function followedText({ values, opacity, isStale, data }) {
  /** @type {import("../shared/wire.js").Point[]} */
  const quad = [0, 2, 4, 6].map((i) => [values[i], values[i + 1]]);
  return { text: data.text, quad, opacity, isStale, age: 0 };
}

/** @param {import("../shared/wire.js").Pose} pose */
function poseItem({ id, box, keypoints, score }) {
  return {
    id,
    values: [...box, ...keypoints.flatMap(([x, y]) => [x, y])],
    data: { score, scores: keypoints.map(([, , keypointScore]) => keypointScore) },
  };
}

/** @param {import("../shared/wire.js").Segment} segment */
function segmentItem({ id, box, polygon, label, score }) {
  const [left, top, width, height] = box;
  /** @type {import("../shared/wire.js").Point[]} */
  const outline = polygon.map(([x, y]) => [(x - left) / (width || 1), (y - top) / (height || 1)]);
  return { id, values: box, data: { label, score, outline } };
}
