/**
 * What is known about the picture: results go in with their capture time, what to draw at a moment comes out.
 *
 * @module
 */

import { FADE_MS, HORIZON_MS, Tracks } from "./tracks.js";

/** OCR runs seldom, and text is not tracked: it stays longer than a box, but not until the sign has moved on. */
const TEXT_MS = 1500;

/**
 * @typedef {import("../shared/wire.js").Result} Result
 * @typedef {import("../shared/wire.js").Text} Text
 * @typedef {{label: string, score: number, velocity: import("../shared/wire.js").Point | null}} DetectionData
 * @typedef {{score: number, scores: number[]}} PoseData
 * @typedef {{label: string, score: number, outline: import("../shared/wire.js").Point[]}} SegmentData
 *   `outline` is in 0..1 of the box, and so goes where the box goes between results.
 */

export class Scene {
  /** @type {Tracks<DetectionData>} `values`: the box. */
  #detections = new Tracks();
  /** @type {Tracks<PoseData>} `values`: the box, then x, y of the keypoints. */
  #poses = new Tracks();
  /** @type {Tracks<SegmentData>} `values`: the box. */
  #segments = new Tracks();
  /** @type {Text[]} */
  #texts = [];
  #textTime = -Infinity;
  /** @type {import("../shared/wire.js").Motion | null} */
  #motion = null;
  #motionTime = -Infinity;

  /** @param {Result} result @param {number} time When its frame was captured, Unix ms. */
  observe(result, time) {
    this.#detections.observe(time, (result.detections ?? []).map(detectionItem));
    this.#poses.observe(time, (result.poses ?? []).map(poseItem));
    this.#segments.observe(time, (result.segments ?? []).map(segmentItem));
    this.#motion = result.motion;
    this.#motionTime = time;
  }

  /**
   * @param {Text[]} texts
   * @param {number} time Of their arrival, Unix ms: reading takes so long on some machines that text which is
   *   shown by the age of its frame would never be seen.
   */
  observeTexts(texts, time) {
    this.#texts = texts;
    this.#textTime = time;
  }

  /** @param {number} time Of the picture on show, Unix ms. */
  at(time) {
    const textAge = time - this.#textTime;
    return {
      detections: this.#detections.at(time),
      poses: this.#poses.at(time),
      segments: this.#segments.at(time),
      texts: this.#texts,
      textOpacity: Math.min(1, Math.max(0, 1 - (textAge - TEXT_MS) / FADE_MS)),
      motion: Math.abs(time - this.#motionTime) < HORIZON_MS ? this.#motion : null,
    };
  }
}

/** @param {import("../shared/wire.js").Detection} detection */
function detectionItem({ id, box, velocity, label, score }) {
  // Flow sees where the thing goes in this very frame; fitting boxes sees where it went. Size is not in flow.
  return {
    id,
    values: box,
    velocity: velocity === null ? null : [...velocity, 0, 0],
    data: { label, score, velocity },
  };
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
